import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compile } from '../../scripts/wasm.js'
import { bytesAt, reserve, write } from './kernels.js'
import { resampleModule } from './resample-wasm.js'

describe('kernels', () => {
  it('are compiled from resample.wat as it is', async () => {
    assert.equal(resampleModule, await compile(), 'run `npm run wasm`')
  })

  it('get areas that do not overlap, vectors past their ends included, however large', () => {
    const sizes = [1, 5_000_000, 0, 17, 4096]
    const offsets = reserve(...sizes)
    for (const [i, offset] of offsets.entries()) {
      assert.equal(offset % 16, 0)
      const next = offsets[i + 1]
      if (next !== undefined) assert.ok(next >= offset + (sizes[i] as number) + 16)
    }
    const last = offsets[4] as number
    write(last, Int32Array.of(-1, 2))
    assert.deepEqual(bytesAt(last, 8), Uint8Array.of(255, 255, 255, 255, 2, 0, 0, 0))
  })
})

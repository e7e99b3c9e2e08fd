import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { verify } from '../src/verify/verify.js'
import { golden, needs, sharedPath } from './support/shared.js'

/** The copy in the project, or the shared original. */
const find = (name: string) => (existsSync(golden(name)) ? golden(name) : sharedPath('golden', name))

const files = {
  'deit.safetensors': 115,
  'deit-distilled.safetensors': 12,
  'idlevit-deit.safetensors': 360,
  'lvvit.safetensors': 7,
  'idlevit-lvvit.safetensors': 31,
  'evit.safetensors': 26,
  'dynamicvit-deit.safetensors': 154,
  'evo-vit.safetensors': 17,
  'ats.safetensors': 38,
  'tome.safetensors': 21,
  'adavit.safetensors': 216,
  'spvit.safetensors': 224,
  'vit-average.safetensors': 91,
  'vit-clip.safetensors': 92,
  'vit-dinov2.safetensors': 9,
  'vit-dinov2-registers.safetensors': 9,
  'vit-dinov3.safetensors': 10,
  'vit-layerscale.safetensors': 103,
  'vit-nobias-rect.safetensors': 86,
  'vit-qknorm.safetensors': 115,
  'vit-siglip.safetensors': 103,
  'swin.safetensors': 8,
  'dynamic-swin.safetensors': 13,
  'dvt.safetensors': 208,
  'optim.safetensors': 24,
  'preprocess-png.safetensors': 25,
  'preprocess-jpeg.safetensors': 25,
  'idlevit-deit.pth': 152,
  'idlevit-deit-legacy.pth': 152,
  'variants.pth': 160,
  'variants-legacy.pth': 160,
}

describe('reference files', () => {
  for (const [name, count] of Object.entries(files)) {
    const path = find(name)
    it(`${name} is reproduced`, needs(path, name), async () => {
      const { checks, unknown, pass } = await verify(path as string)
      assert.deepEqual(unknown, [])
      assert.deepEqual(
        checks.filter((check) => !check.pass),
        [],
      )
      assert.ok(pass)
      assert.ok(checks.length >= count, `${checks.length} checks`)
    })
  }

  for (const name of ['evil.pth', 'evil-legacy.pth']) {
    const path = find(name)
    it(`${name} is refused`, needs(path, name), async () => {
      await assert.rejects(verify(path as string), { name: 'InputError' })
    })
  }

  const idle = find('idlevit-deit.safetensors')
  it('a changed weight is noticed', needs(idle, 'idlevit-deit.safetensors'), async () => {
    const folder = await mkdtemp(join(tmpdir(), 'idlevit-'))
    const copy = join(folder, 'changed.safetensors')
    try {
      await copyFile(idle as string, copy)
      const bytes = await readFile(copy)
      const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString())
      const [begin] = header['state.blocks.3.attn.qkv.weight'].data_offsets
      const at = 8 + Number(bytes.readBigUInt64LE()) + begin
      bytes.writeFloatLE(bytes.readFloatLE(at) + 0.05, at)
      await writeFile(copy, bytes)
      const { pass } = await verify(copy)
      assert.equal(pass, false)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

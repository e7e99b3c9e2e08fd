import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Encoding, encode, encoders } from '../../test/support/pictures.js'
import { decodeImage } from './decode.js'
import { MAX_PIXELS } from './pixels.js'

// More, and other ones: FUZZ_ROUNDS=1000 FUZZ_SEED=7
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 60)
let state = Number(process.env.FUZZ_SEED ?? 1)

/** An integer in [0, below), from a linear congruential generator. */
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.trunc((state / 2 ** 32) * below)
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff]

/** A copy with bytes changed, cut out, doubled, or cut off; headers more often than the rest. */
function mutate(file: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(file)
  const position = () => random(random(2) ? copy.length : Math.min(copy.length, 64))
  for (let times = 1 + random(6); times > 0; times--) {
    const at = position()
    const length = 1 + random(16)
    switch (random(5)) {
      case 0:
        copy[at] = random(256)
        break
      case 1:
        copy[at] = INTERESTING[random(INTERESTING.length)] as number
        break
      case 2:
        copy[at] = (copy[at] as number) ^ (1 << random(8))
        break
      case 3:
        copy.copyWithin(at, position(), position() + length)
        break
      default:
        copy.fill(INTERESTING[random(INTERESTING.length)] as number, at, at + length)
    }
  }
  return random(6) === 0 ? copy.subarray(0, random(copy.length)) : copy
}

describe('decodeImage on damaged files', () => {
  for (const encoding of Object.keys(encoders) as Encoding[]) {
    it(`reads or refuses ${encoding}, with one line, in time and memory`, { timeout: 60_000 }, async () => {
      const file = await encode(encoding)
      let refused = 0
      for (let round = 0; round < ROUNDS; round++) {
        const start = performance.now()
        try {
          const { width, height, data } = await decodeImage(mutate(file), { name: 'mutant', orient: round % 2 === 0 })
          assert.ok(width * height <= MAX_PIXELS)
          assert.equal(data.length, width * height * 3)
        } catch (error) {
          assert.ok(error instanceof Error)
          assert.equal(error.name, 'InputError', error.stack)
          assert.match(error.message, /^mutant: .+$/)
          refused++
        }
        assert.ok(performance.now() - start < 10_000, `round ${round} took too long`)
      }
      assert.ok(refused > 0)
      const peak = process.resourceUsage().maxRSS / 2 ** 20 // maxRSS is in kilobytes
      assert.ok(peak < 1, `${peak} GB`)
    })
  }
})

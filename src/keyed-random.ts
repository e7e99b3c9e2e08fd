/**
 * Random streams by name: the same (seed, purpose, numbers) give the same stream, and different ones independent
 * streams. What is drawn for picture 17 of epoch 3 then depends neither on the number of workers nor on where a run was
 * interrupted. The key is hashed with the finaliser of MurmurHash3 (Appleby), twice, into the 53 bits of a seed.
 */
import { createRandom, type Random } from './random.js'

/** MurmurHash3's 32-bit finaliser: every input bit changes every output bit with probability about one half. */
function mix(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/**
 * The stream of `purpose` under `seed`.
 *
 * @param seed - the run's seed, a non-negative integer
 * @param purpose - what the numbers are for, so that two uses never share a stream
 * @param numbers - which of them: epoch, step, position; non-negative integers
 */
export function keyedRandom(seed: number, purpose: string, ...numbers: readonly number[]): Random {
  const words = [seed, purpose.length, ...Array.from(purpose, (letter) => letter.codePointAt(0) as number), ...numbers]
  let high = 0x9e3779b9
  let low = 0x7f4a7c15
  for (const word of words) {
    const top = Math.floor(word / 2 ** 32)
    high = mix(high ^ mix((word >>> 0) + 0x165667b1)) ^ Math.imul(top, 0x27d4eb2f)
    low = mix((low + mix((word >>> 0) ^ 0x5bd1e995) + top) >>> 0)
  }
  return createRandom((mix(high + low) & 0x1fffff) * 2 ** 32 + mix(low ^ (high >>> 1)))
}

/** A data set of made-up pictures, for runs of small models. */

import type { Dataset } from '../../src/data/dataset.js'
import { keyedRandom } from '../../src/keyed-random.js'

const colours = [
  [200, 60, 60],
  [60, 200, 60],
  [60, 60, 200],
  [200, 200, 60],
  [60, 200, 200],
] as const

/** Noise around a colour that tells the class, of at most five; picture `broken` cannot be read. */
export function madeUpPictures(count: number, seed: number, classes: number, broken = -1): Dataset {
  return {
    name: 'made up',
    samples: Array.from({ length: count }, (_, i) => ({ name: `picture ${i}`, label: i % classes })),
    source(i) {
      if (i === broken) return { kind: 'bytes', bytes: Uint8Array.of(1, 2, 3) }
      const random = keyedRandom(seed, 'made-up', i)
      const data = Uint8Array.from(
        { length: 36 * 36 * 3 },
        (_, p) => (colours[i % classes]?.[p % 3] as number) + random.integer(50) - 25,
      )
      return { kind: 'rgb', width: 36, height: 36, data }
    },
    close: async () => {},
  }
}

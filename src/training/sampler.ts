/** The order in which an epoch goes through the training pictures. */
import { keyedRandom } from '../keyed-random.js'
import { shuffle } from '../random.js'

/**
 * Positions of one epoch: `count` draws, shuffled anew in every epoch.
 *
 * With `repeats` r (repeated augmentation, arXiv 1902.05509, as in DeiT) each drawn picture comes r times in a row,
 * augmented differently, and the epoch is still `count` draws: it sees one picture in r.
 *
 * @returns [count]
 */
export function epochOrder(count: number, seed: number, epoch: number, repeats = 1): Int32Array {
  const pictures = shuffle([...Array(count).keys()], keyedRandom(seed, 'order', epoch))
  return Int32Array.from({ length: count }, (_, i) => pictures[Math.floor(i / repeats)] as number)
}

/** Whether a batch fits into the memory that is free. */

import { freemem } from 'node:os'
import { fail } from '../errors.js'
import { pictureSize } from '../models/config.js'
import type { Classifier } from './classifier.js'

/**
 * Refuses a batch that cannot fit before anything is allocated.
 *
 * @throws InputError naming what is needed and what is free
 */
export function checkMemory(classifiers: readonly Classifier[], batch: number): void {
  const [first] = classifiers
  const [height, width] = first ? pictureSize(first.model.config) : [0, 0]
  const loader = 3 * batch * 3 * height * width * 4 // pictures of the batch in use and of those decoded ahead
  const needed = classifiers.reduce((sum, classifier) => sum + classifier.memory(batch), loader)
  const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  if (needed > freemem())
    fail(`batch ${batch}: needs about ${gigabytes(needed)} of memory, ${gigabytes(freemem())} are free; lower --batch`)
}

/** How sure every net of a cascade is of the pictures of a data set. */

import type { Dataset } from '../data/dataset.js'
import { type LoaderOptions, loadBatches } from '../data/loader.js'
import { fail } from '../errors.js'
import type { Classifier } from '../runtime/classifier.js'

export interface ConfidenceOptions extends Pick<LoaderOptions, 'preprocess' | 'decoders'> {
  /** Pictures per run; default 16. */
  readonly batch?: number
  /** Only the first pictures. */
  readonly limit: number
  readonly onProgress?: (done: number) => void
}

/**
 * Asks all nets about the pictures; those that cannot be read do not count.
 *
 * @param cascade - one whose thresholds nothing reaches
 * @returns confidences by net, then by picture
 * @throws InputError when no picture can be read
 */
export async function confidencesOn(
  cascade: Pick<Classifier, 'forward'>,
  dataset: Dataset,
  { batch = 16, limit, onProgress, ...loading }: ConfidenceOptions,
): Promise<number[][]> {
  const found: number[][] = []
  const order = Array.from({ length: limit }, (_, i) => i)
  for await (const { pixels } of loadBatches(dataset, { ...loading, batch, order })) {
    const { confidences = [] } = await cascade.forward(pixels)
    for (const [k, own] of confidences.entries()) found[k] = [...(found[k] ?? []), ...own]
    onProgress?.(found[0]?.length ?? 0)
  }
  return found.length > 0 ? found : fail(`${dataset.name}: no picture could be read`)
}

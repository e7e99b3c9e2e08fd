/** Multiply-adds of methods whose pictures decide how many tokens are computed: measured on the first pictures. */

import type { Dataset } from '../data/dataset.js'
import type { Decoder } from '../data/decoder.js'
import { loadBatches } from '../data/loader.js'
import { fail } from '../errors.js'
import type { Bindings } from '../graph/dims.js'
import type { Preprocess } from '../images/preprocess.js'
import type { Model } from '../runtime/classifier.js'
import { openNodeClassifier } from '../runtime/node.js'
import { costOf, type Reduction } from './methods.js'

/** Pictures that are tried. */
const TRIED = 32

export interface WorkOptions {
  readonly limit: number
  readonly preprocess: Preprocess
  readonly decoders: readonly Decoder[]
}

/** Mean 10⁹ multiply-adds of a model under a reduction, over the first pictures of a data set; they are decoded once. */
export function measuredWork(dataset: Dataset, { limit, preprocess, decoders }: WorkOptions) {
  let pictures: Promise<Float32Array> | undefined
  async function load(): Promise<Float32Array> {
    const order = Array.from({ length: limit }, (_, i) => i)
    for await (const { pixels } of loadBatches(dataset, { batch: Math.min(TRIED, limit), preprocess, decoders, order }))
      return pixels.slice()
    return fail(`${dataset.name}: no picture could be read`)
  }
  const known = new Map<string, number>()
  return async (model: Model, reduction: Reduction): Promise<number> => {
    const { gmacs, gmacsOf } = costOf(model, reduction)
    if (!gmacsOf) return gmacs
    const key = JSON.stringify([model.name, reduction])
    const mean = known.get(key) ?? (await measure(model, reduction, gmacsOf))
    known.set(key, mean)
    return mean
  }

  async function measure(model: Model, reduction: Reduction, gmacsOf: (sizes: Bindings) => number): Promise<number> {
    pictures ??= load()
    const pixels = await pictures
    const classifier = await openNodeClassifier(model, reduction)
    try {
      const { sizes = [] } = await classifier.forward(pixels)
      return sizes.reduce((sum, each) => sum + gmacsOf(each), 0) / sizes.length
    } finally {
      await classifier.close()
    }
  }
}

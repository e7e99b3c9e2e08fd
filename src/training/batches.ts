/**
 * Training batches: an epoch's order, augmented by worker threads, mixed and given soft targets. Everything drawn is a
 * function of seed, epoch and position, so an epoch can be taken up again anywhere.
 */
import type { Dataset } from '../data/dataset.js'
import type { Decoder } from '../data/decoder.js'
import { loadBatches } from '../data/loader.js'
import { mixBatch, softTargets } from '../images/augment/mix.js'
import { cropSides, type Preprocess } from '../images/preprocess.js'
import { keyedRandom } from '../keyed-random.js'
import type { Recipe } from './recipe.js'
import type { TrainingData } from './run.js'
import { epochOrder } from './sampler.js'

/** The training batches of a data set under a recipe. */
export function trainingData(
  dataset: Dataset,
  recipe: Recipe,
  preprocess: Preprocess,
  classes: number,
  decoders?: readonly Decoder[],
): TrainingData {
  const pictures = dataset.samples.length
  const { seed, batch, repeats, augment, mix, smoothing } = recipe
  const [height, width] = cropSides(preprocess)
  return {
    pictures,
    async *batches(epoch, drawn, onSkip) {
      const order = epochOrder(pictures, seed, epoch, repeats).subarray(drawn)
      if (order.length < batch) return
      const loaded = loadBatches(dataset, {
        batch,
        preprocess,
        order,
        augment: { recipe: augment, seed, epoch, first: drawn },
        onSkip,
        ...(decoders && { decoders }),
      })
      for await (const { pixels, labels, positions } of loaded) {
        if (labels.length < batch) return
        const reached = drawn + (positions[batch - 1] as number) + 1
        const weight = mixBatch(pixels, [batch, 3, height, width], mix, keyedRandom(seed, 'mix', epoch, reached))
        yield {
          pixels: { data: pixels, shape: [batch, 3, height, width] },
          targets: { data: softTargets(labels, classes, weight, smoothing), shape: [batch, classes] },
          drawn: reached,
        }
      }
    },
  }
}

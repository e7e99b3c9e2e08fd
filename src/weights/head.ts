/** A new classification head on a pretrained backbone, for classes of one's own. */
import { parametersOf } from '../models/backbone.js'
import type { VitConfig } from '../models/config.js'
import { createRandom } from '../random.js'
import { randomWeights } from './init.js'
import type { StateDict } from './state.js'

/** The linear layers that turn a row into class logits: of a distilled model and of LV-ViT there are two. */
const isHead = (name: string): boolean => /^(head|head_dist|aux_head)\./.test(name)

/**
 * A model for other classes: the backbone as it is, heads of `classes` rows with weights from a normal distribution of
 * deviation 0.02 and zero biases, as timm resets a classifier.
 *
 * @param seed - the same seed gives the same bits on every machine
 * @param labels - the new class names, in index order
 */
export function withNewHead<M extends { readonly config: VitConfig; readonly state: StateDict }>(
  model: M,
  classes: number,
  seed: number,
  labels?: readonly string[],
): Omit<M, 'labels'> & { readonly labels?: readonly string[] } {
  const { projection: _projection, ...backbone } = model.config // a head reads what CLIP's projection reads
  const config = { ...backbone, classes }
  const shapes = [...parametersOf(config)].filter(([name]) => isHead(name))
  const heads = randomWeights(new Map(shapes), createRandom(seed))
  const state: StateDict = new Map([...model.state].filter(([name]) => name !== 'projection.weight'))
  for (const [name, tensor] of heads) state.set(name, tensor)
  const { labels: _, ...rest } = model as M & { readonly labels?: readonly string[] }
  return { ...rest, config, state, ...(labels && { labels }) }
}

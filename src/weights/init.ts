/**
 * Seeded random weights, for trying a model without a checkpoint and for training from scratch.
 *
 * As DeiT does it: weights and embeddings from a normal distribution of deviation 0.02, biases zero, LayerNorm at
 * identity; convolutions before a ReLU keep the size of what goes through them (He et al., arXiv 1502.01852). (timm's trunc_normal_ cuts at ±2, a hundred deviations away: the cut never happens.) The same seed gives the
 * same bits on every machine.
 */
import { parametersOf } from '../models/backbone.js'
import type { VitConfig } from '../models/config.js'
import { isFixed, orthogonalFeatures, sinusoids } from '../models/tokens-to-token.js'
import { createRandom, type Random } from '../random.js'
import { elements, type StateDict } from './state.js'

const deviation = 0.02

const isConvolution = /^patch_embed\.conv\d\.weight$/

/** Random weights for the given parameters: name → shape. */
export function randomWeights(shapes: ReadonlyMap<string, readonly number[]>, random: Random): StateDict {
  const state: StateDict = new Map()
  for (const [name, shape] of shapes) {
    const data = new Float32Array(elements(shape))
    if (name.endsWith('.weight') && shape.length === 1)
      data.fill(1) // of a LayerNorm
    else if (!name.endsWith('.bias')) {
      const spread = isConvolution.test(name) ? Math.sqrt((2 * (shape[0] ?? 1)) / data.length) : deviation
      for (let i = 0; i < data.length; i++) data[i] = spread * random.normal()
    }
    state.set(name, { dtype: 'F32', shape, data })
  }
  return state
}

/** A ViT or DeiT with random weights, complete under timm's names. */
export function randomVit(config: VitConfig, seed: number): StateDict {
  const random = createRandom(seed)
  const state = randomWeights(parametersOf(config), random)
  if (!config.tokensToToken) return state
  for (const [name, { shape }] of state)
    if (isFixed(name)) {
      const [rows, width] = shape.slice(-2) as [number, number]
      const data = name === 'pos_embed' ? sinusoids(rows, width) : orthogonalFeatures(random.normal, rows, width)
      state.set(name, { dtype: 'F32', shape, data })
    }
  return state
}

/**
 * Weights with random ones for those parameters that are missing.
 *
 * @param initial - what all entries of such a weight are instead, by its name
 */
export function withMissing(
  state: StateDict,
  shapes: ReadonlyMap<string, readonly number[]> | undefined,
  seed: number,
  initial: (name: string) => number | undefined = () => undefined,
): StateDict {
  const missing = new Map([...(shapes ?? [])].filter(([name]) => !state.has(name)))
  if (missing.size === 0) return state
  const drawn = randomWeights(missing, createRandom(seed))
  for (const [name, { data }] of drawn) {
    const value = initial(name)
    if (value !== undefined) data.fill(value as never)
  }
  return new Map([...state, ...drawn])
}

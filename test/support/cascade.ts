/** A small random cascade for tests: the official grids and pictures, narrow rows. */

import { type CascadeConfig, cascadeParameters } from '../../src/models/cascade.js'
import { createRandom } from '../../src/random.js'
import type { Model } from '../../src/runtime/classifier.js'
import type { StateDict } from '../../src/weights/state.js'

/** As the official DVT of DeiT-S, but for the sizes that are left open. */
export const cascadeConfig = (sizes: Partial<CascadeConfig> = {}): CascadeConfig => ({
  imageSize: 224,
  patchSize: 16,
  width: 24,
  depth: 2,
  heads: 3,
  hidden: 48,
  classes: 7,
  distilled: false,
  layerNormEps: 1e-6,
  cascade: {
    smaller: [
      { patchSize: 32, grid: 7 },
      { patchSize: 23, grid: 10 },
    ],
    features: { hidden: 128, width: 48 },
    relations: true,
  },
  ...sizes,
})

/** Random weights, large enough that answers and confidences differ from picture to picture. */
export function randomCascade(config = cascadeConfig(), seed = 0): Model & { readonly state: StateDict } {
  const random = createRandom(seed)
  const state: StateDict = new Map()
  for (const [name, shape] of cascadeParameters(config)) {
    const count = shape.reduce((a, b) => a * b, 1)
    const centre = /norm\d?\.weight$|mlp\.0\.weight$/.test(name) ? 1 : 0
    const data = Float32Array.from({ length: count }, () => centre + 0.2 * random.normal())
    state.set(name, { dtype: 'F32', shape, data })
  }
  return { name: 'cascade', config, state }
}

/** Pictures of different contrast `[B, 3, 224, 224]`. */
export function cascadePixels(pictures: number, seed = 1): Float32Array {
  const random = createRandom(seed)
  const each = 3 * 224 * 224
  return Float32Array.from({ length: pictures * each }, (_, i) => (1 + Math.floor(i / each)) * 0.5 * random.normal())
}

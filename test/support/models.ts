/** Small random models and sessions for tests. */

import assert from 'node:assert/strict'
import type { Graph, TensorData } from '../../src/graph/graph.js'
import { parametersOf, shapeOf } from '../../src/models/backbone.js'
import type { WeightValues } from '../../src/models/build.js'
import { pictureSize, type VitConfig } from '../../src/models/config.js'
import type { SwinConfig } from '../../src/models/swin-config.js'
import { createRandom } from '../../src/random.js'
import { methodOf, type ReductionPlan } from '../../src/reduction/registry.js'
import { createSession } from '../../src/runtime/node.js'
import type { SessionOptions, Values } from '../../src/runtime/session.js'

/** 16 image tokens, four blocks, two heads. */
export const tiny: VitConfig = {
  imageSize: 32,
  patchSize: 8,
  width: 24,
  depth: 4,
  heads: 2,
  hidden: 48,
  classes: 5,
  distilled: false,
  layerNormEps: 1e-6,
}

/** Maps of 16², 8² and 4² tokens in windows of 4²; the last is one window. */
export const tinySwin: SwinConfig = {
  imageSize: 32,
  patchSize: 2,
  width: 8,
  depth: 6,
  heads: 1,
  hidden: 16,
  classes: 5,
  distilled: false,
  layerNormEps: 1e-5,
  classToken: false,
  pool: 'mean',
  stages: [
    { depth: 2, heads: 1 },
    { depth: 2, heads: 2 },
    { depth: 2, heads: 4 },
  ],
  windowSize: 4,
}

/** The smallest that still has several blocks and heads, for weights that are read and written. */
export const narrow: VitConfig = {
  ...tiny,
  imageSize: 16,
  patchSize: 4,
  width: 6,
  depth: 2,
  heads: 3,
  hidden: 12,
  classes: 2,
}

/** Weights large enough that attention is far from uniform. */
export function randomWeights(config: VitConfig, seed: number, deviation = 0.3): WeightValues {
  const random = createRandom(seed)
  const values = new Map<string, { shape: readonly number[]; data: Float32Array }>()
  for (const [name, shape] of parametersOf(config)) {
    const count = shape.reduce((a, b) => a * b, 1)
    const centre = /norm\d?\.weight$/.test(name) ? 1 : 0
    values.set(name, { shape, data: Float32Array.from({ length: count }, () => centre + deviation * random.normal()) })
  }
  return values
}

export function randomPixels(config: VitConfig, batch: number, seed: number): Values {
  const random = createRandom(seed)
  const shape = [batch, 3, ...pictureSize(config)]
  const count = shape.reduce((a, b) => a * b, 1)
  return { data: Float32Array.from({ length: count }, () => random.normal()), shape }
}

/** Runs a graph once. */
export async function evaluate(
  graph: Graph,
  feeds: Readonly<Record<string, Values>>,
  options: SessionOptions = {},
): Promise<Record<string, Values>> {
  const session = await createSession(graph, { threads: 1, ...options })
  try {
    return await session.run(feeds)
  } finally {
    await session.close()
  }
}

export const floats = (values: Values | undefined): Float32Array => {
  if (!(values?.data instanceof Float32Array)) throw new Error('no float32 output')
  return values.data
}

export function maxAbsDiff(a: TensorData, b: TensorData): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let max = 0
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(Number(a[i]) - Number(b[i]))
    if (!(difference <= max)) max = difference // NaN counts as a difference
  }
  return max
}

/** Picture b of a batch. */
export function pictureOf({ data, shape }: Values, b: number): Values {
  const [batch = 1, ...rest] = shape
  const length = data.length / batch
  return { data: data.slice(b * length, (b + 1) * length), shape: [1, ...rest] }
}

/** Fails where two outputs differ by more than a share of the largest entry, 1 at least. */
export function assertClose(a: Values | undefined, b: Values | undefined, what: string, tolerance = 2e-5): void {
  const [x, y] = [floats(a), floats(b)]
  const size = Math.max(1, ...x.map(Math.abs))
  assert.ok(maxAbsDiff(x, y) <= tolerance * size, `${what}: ${maxAbsDiff(x, y)} of ${size}`)
}

/** A model's random weights, and those that a plan's method reads beyond them. */
export function weightsUnder(
  config: VitConfig,
  { method, keep, ...settings }: ReductionPlan,
  deviation = 0.3,
): WeightValues {
  const random = createRandom(7)
  const own = methodOf(method).parameters?.(shapeOf(config), keep, settings) ?? new Map<string, readonly number[]>()
  const values = [...own].map(([name, shape]) => {
    const count = shape.reduce((a, b) => a * b, 1)
    return [name, { shape, data: Float32Array.from({ length: count }, () => deviation * random.normal()) }] as const
  })
  return new Map([...randomWeights(config, 1), ...values])
}

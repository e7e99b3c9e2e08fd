/** Replays reference files of the ViT family: rows, what the head reads, logits, and gradients of the cross entropy. */

import { fail } from '../errors.js'
import { gradients } from '../graph/gradients.js'
import { createGraph, input, output, type Tensor } from '../graph/graph.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { mul, scale } from '../graph/ops/elementwise.js'
import { logSoftmax } from '../graph/ops/normalise.js'
import { reduceMean } from '../graph/ops/reduce.js'
import { forward } from '../models/backbone.js'
import { type Activation, gridSize, pictureSize, type VitConfig } from '../models/config.js'
import { rotaryAngles } from '../models/rotary.js'
import { createSession } from '../runtime/node.js'
import { inferVitConfig, type VitHints } from '../weights/infer.js'
import { toTimmNames } from '../weights/names.js'
import type { StateDict } from '../weights/state.js'
import type { Actual, Replay } from './compare.js'
import { field } from './model.js'
import { type Reference, tensorsUnder, valuesOf } from './reference.js'

const pools = { token: 'class', avg: 'mean', map: 'attention' } as const
const activations: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_tanh: 'gelu-tanh',
  quick_gelu: 'quick-gelu',
}

/** The model that a file describes: what its shapes tell, and what its config has to add. */
function configOf(reference: Reference, state: StateDict): VitConfig {
  const { config } = reference
  const [height, width] = [field<number | number[]>(reference, 'img_size')].flat() as [number, number?]
  const hints: VitHints = {
    imageSize: width ?? height,
    ...(width !== undefined && width !== height && { imageHeight: height }),
    pool: pools[(config.global_pool ?? 'token') as keyof typeof pools],
    activation: activations[field<string>(reference, 'act')] ?? fail(`${reference.file}: config.act: ${config.act}`),
    ...(config.rope_type === 'dinov3' && {
      rotary: { kind: 'dinov3', temperature: field<number>(reference, 'rope_temperature') },
    }),
  }
  return inferVitConfig(state, {
    ...hints,
    heads: field<number>(reference, 'num_heads'),
    layerNormEps: field<number>(reference, 'ln_eps'),
  })
}

/** mean_b( -Σ_c y log softmax(z) ) */
const crossEntropy = (logits: Tensor, targets: Tensor): Tensor =>
  scale(reduceMean(reduceSum(mul(targets, logSoftmax(logits)), [1]), [0]), -1)

export const replayVit: Replay = async (reference) => {
  const state = toTimmNames(tensorsUnder(reference, 'state.') as StateDict)
  const config = configOf(reference, state)
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, ...pictureSize(config)])
  // Weights are inputs, so that gradients may flow into them.
  const weights = new Map([...state].map(([name, { shape }]) => [name, input(graph, name, shape)]))
  const model = forward((name) => weights.get(name) ?? fail(`no ${name}`), pixels, config, { allTokens: true })
  output('embedded', model.embedded)
  for (const [l, { step }] of model.blocks.entries()) output(`block.${l}`, step.rows.x)
  output('features', model.features)
  output('pooled', model.pooled)
  const trained = [...weights].filter(([name]) => reference.tensors.has(`grad.${name}`))
  const targets = reference.tensors.has('targets') ? valuesOf(reference, 'targets') : undefined
  if (targets) {
    output('logits', model.logits)
    const loss = crossEntropy(model.logits, input(graph, 'targets', ['batch', config.classes]))
    output('cross_entropy', loss)
    const found = gradients(
      loss,
      trained.map(([, tensor]) => tensor),
    )
    for (const [i, [name]] of trained.entries()) output(`grad.${name}`, found[i] as Tensor)
  }
  const feeds = [...state].map(([name, { data, shape }]) => [name, { data: data as Float32Array, shape }] as const)
  const session = await createSession(graph)
  try {
    const outputs = await session.run({
      pixel_values: valuesOf(reference, 'input'),
      ...(targets && { targets }),
      ...Object.fromEntries(feeds),
    })
    const actual = new Map<string, Actual>(Object.entries(outputs))
    actual.set('cross_entropy', { data: outputs.cross_entropy?.data ?? [] })
    if (config.rotary) actual.set('rope', ropeTable(config, config.rotary))
    return actual
  } finally {
    await session.close()
  }
}

/** Sines, then cosines of every angle, which both halves of a head share: `[N0, 2d]` as the official code keeps them. */
function ropeTable(config: VitConfig, rotary: NonNullable<VitConfig['rotary']>): Actual {
  const d = config.width / config.heads
  const angles = rotaryAngles(rotary, gridSize(config), d) // [N0, d/2]
  const rows = angles.length / (d / 2)
  const data = Array.from({ length: rows }, (_, row) => {
    const own = Array.from(angles.subarray((row * d) / 2, ((row + 1) * d) / 2))
    const sines = own.map(Math.sin)
    const cosines = own.map(Math.cos)
    return [...sines, ...sines, ...cosines, ...cosines]
  })
  return { data: data.flat(), shape: [rows, 2 * d] }
}

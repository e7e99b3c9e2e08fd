/**
 * The loss of AdaViT with every optional term of its official code, by numbers from the training forward: how the shares
 * of single heads and blocks spread, how doubtful the gates are, and floors below which no share should fall. No official
 * recipe uses them, and finetuning has none of them.
 */

import type { Actual } from './compare.js'
import { field } from './model.js'
import type { Reference } from './reference.js'

/** `[B, L, W]` of numbers. */
interface Cube {
  readonly shape: readonly [number, number, number]
  at(b: number, l: number, w: number): number
}

/** Coefficients and targets, as the file has them. */
type Weights = Readonly<Record<string, number>>

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
const mean = (values: readonly number[]): number => sum(values) / values.length
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
/** How far values fall below a floor, in all. */
const below = (floor: number, values: readonly number[]): number => sum(values.map((x) => Math.max(0, floor - x)))

function cube(actual: ReadonlyMap<string, Actual>, name: string): Cube {
  const { data, shape } = actual.get(name) as Actual
  const [, L, W] = shape as [number, number, number]
  return { shape: shape as Cube['shape'], at: (b, l, w) => Number(data[(b * L + l) * W + w]) }
}

/** All entries. */
const entries = ({ shape: [B, L, W], at }: Cube): number[] =>
  range(B).flatMap((b) => range(L).flatMap((l) => range(W).map((w) => at(b, l, w))))

/** Mean entropy of a gate, in nats. */
const doubt = (logits: Cube): number =>
  mean(
    entries(logits).map((z) => {
      const p = 1 / (1 + Math.exp(-z))
      return -p * Math.log(Math.max(p, 1e-7)) - (1 - p) * Math.log(Math.max(1 - p, 1e-7))
    }),
  )

function headLoss(heads: Cube, layers: Cube, logits: Cube, w: Weights): number {
  const [B, L, H] = heads.shape
  const runs = (b: number, l: number) => (layers.at(b, l, 0) + layers.at(b, l, 1) > 0 ? 1 : 0)
  const share = (pictures: readonly number[], blocks: readonly number[], of: readonly number[]) => {
    const places = pictures.flatMap((b) => blocks.flatMap((l) => of.map((h) => [b, l, h] as const)))
    const used = sum(places.map(([b, l, h]) => heads.at(b, l, h) * runs(b, l)))
    return used / (sum(places.map(([b, l]) => runs(b, l))) + 1e-6)
  }
  const single = range(L).flatMap((l) => range(H).map((h) => share(range(B), [l], [h])))
  const target = w.head_target_ratio as number
  return (
    Math.abs(share(range(B), range(L), range(H)) - target) +
    (w.head_diverse_ratio as number) * mean(single.map((x) => Math.abs(x - target))) -
    (w.head_entropy_weight as number) * doubt(logits) +
    (w.head_minimal_weight as number) * below(w.head_minimal as number, single)
  )
}

function layerLoss(layers: Cube, logits: Cube, w: Weights): number {
  const [B, L] = layers.shape
  const target = w.layer_target_ratio as number
  const blocks = range(L).map((l) => mean(range(B).flatMap((b) => [layers.at(b, l, 0), layers.at(b, l, 1)])))
  const single = range(L).flatMap((l) => [0, 1].map((i) => mean(range(B).map((b) => layers.at(b, l, i)))))
  return (
    Math.abs(mean(entries(layers)) - target) +
    (w.layer_diverse_ratio as number) * mean(blocks.map((x) => Math.abs(x - target))) -
    (w.layer_entropy_weight as number) * doubt(logits) +
    (w.layer_minimal_weight as number) * below(w.layer_minimal as number, single)
  )
}

function tokenLoss(tokens: Cube, w: Weights): number {
  const [B, L, N] = tokens.shape
  const each = range(B).flatMap((b) => range(L).map((l) => mean(range(N).map((i) => tokens.at(b, l, i)))))
  const error = mean(entries(tokens)) - (w.token_target_ratio as number)
  return error ** 2 + (w.token_minimal_weight as number) * below(w.token_minimal as number, each)
}

/** The loss and its parts, by their names in the file. */
export function fullLoss(reference: Reference, actual: ReadonlyMap<string, Actual>): Map<string, Actual> {
  const w = field<Weights>(reference, 'loss_full')
  const of = (name: string) => cube(actual, `train.${name}`)
  const layers = of('layer_policy')
  const base = Number(actual.get('loss.base_loss')?.data[0])
  const head = headLoss(of('head_policy'), layers, of('head_logits'), w)
  const layer = layerLoss(layers, of('layer_logits'), w)
  const token = tokenLoss(of('token_policy'), w)
  const total =
    base +
    (w.head_loss_ratio as number) * head +
    (w.layer_loss_ratio as number) * layer +
    (w.token_loss_ratio as number) * token
  const parts = { base_loss: base, head_loss: head, layer_loss: layer, token_loss: token }
  return new Map<string, Actual>([
    ['loss_full', { data: [total] }],
    ...Object.entries(parts).map(([name, value]) => [`loss_full.${name}`, { data: [value] }] as const),
  ])
}

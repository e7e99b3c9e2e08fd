/**
 * The tokens-to-token module of T2T-ViT (Yuan et al., arXiv 2101.11986, section 3.1): overlapping 7 x 7 pieces of the
 * picture become tokens, a light transformer lets them see each other, and overlapping 3 x 3 pieces of their map become
 * fewer and wider tokens, twice; then they are projected to the width of the blocks.
 *
 * Its two transformers have one head and take the value, not what comes in, as their residual, for widths differ. Either
 * they are plain (`transformer`, the T2T-ViT_t), or Performers (Choromanski et al., arXiv 2009.14794) with positive random
 * features (`performer`). Weight names are the official repository's (yitu-opensource/T2T-ViT).
 */

import type { Dim } from '../graph/dims.js'
import { scalar, type Tensor } from '../graph/graph.js'
import { attention } from '../graph/ops/attention.js'
import { reduceSum } from '../graph/ops/broadcast.js'
import { add, div, exp, gelu, mul, scale, sub } from '../graph/ops/elementwise.js'
import { linear, matmul } from '../graph/ops/linear.js'
import { layerNorm } from '../graph/ops/normalise.js'
import { concat, pad, reshape, slice, split, transpose } from '../graph/ops/shape.js'

/** Gives a weight by its name. */
type Weights = (name: string) => Tensor

/** A tokens-to-token module: what lets its pieces see each other, and how wide they are then. */
export interface TokensToToken {
  readonly attention: 'performer' | 'transformer'
  readonly width: number
}

/** Overlapping pieces: their side, the steps from one to the next, and the zeros around what they are cut from. */
interface Pieces {
  readonly side: number
  readonly stride: number
  readonly padding: number
}

const FIRST: Pieces = { side: 7, stride: 4, padding: 2 }
const LATER: Pieces = { side: 3, stride: 2, padding: 1 }

/** Numbers of a piece with c channels. */
const pieceWidth = ({ side }: Pieces, c: number): number => c * side * side

/** Random features of a Performer of width w: half as many. */
const features = (w: number): number => Math.floor(w / 2)

/** Pixels from one final token to the next, both ways. */
export const TOKEN_STRIDE = FIRST.stride * LATER.stride * LATER.stride

/** Weights of the module under the official names, with their shapes. C: width of the blocks. */
export function tokensToTokenParameters({ attention, width: w }: TokensToToken, C: number): Map<string, number[]> {
  const shapes = new Map<string, number[]>()
  const layer = (name: string, ...shape: number[]) => {
    shapes.set(`${name}.weight`, shape)
    shapes.set(`${name}.bias`, shape.slice(0, 1))
  }
  for (const [i, width] of [pieceWidth(FIRST, 3), pieceWidth(LATER, w)].entries()) {
    const at = `tokens_to_token.attention${i + 1}`
    layer(`${at}.norm1`, width)
    layer(`${at}.norm2`, w)
    if (attention === 'performer') {
      shapes.set(`${at}.w`, [features(w), w])
      layer(`${at}.kqv`, 3 * w, width)
      layer(`${at}.proj`, w, w)
      for (const j of [0, 2]) layer(`${at}.mlp.${j}`, w, w)
    } else {
      shapes.set(`${at}.attn.qkv.weight`, [3 * w, width])
      layer(`${at}.attn.proj`, w, w)
      for (const j of [1, 2]) layer(`${at}.mlp.fc${j}`, w, w)
    }
  }
  layer('tokens_to_token.project', C, pieceWidth(LATER, w))
  return shapes
}

/** What of a T2T-ViT is fixed from the start, and never trained: random features and sinusoid positions. */
export const isFixed = (name: string): boolean => name === 'pos_embed' || /^tokens_to_token\.attention\d\.w$/.test(name)

/**
 * Tokens of a picture without positions: `[B, 3, height, width]` → `[B, N0, C]`.
 *
 * @param eps - of its LayerNorms
 */
export function tokensToToken(weights: Weights, pixels: Tensor, module: TokensToToken, eps: number): Tensor {
  const [B = 1, , height, width] = pixels.shape as [Dim, number, number, number]
  const mix = module.attention === 'performer' ? performer : transformer
  const mixed = (i: number, x: Tensor) =>
    mix((name) => weights(`tokens_to_token.attention${i}.${name}`), x, module.width, eps)
  const map = (x: Tensor, step: number) => reshape(x, [B, height / step, width / step, module.width]) // [B, h, w, c]
  const first = mixed(1, softSplit(transpose(pixels, [0, 2, 3, 1]), FIRST)) // [B, 16·N0, c]
  const second = mixed(2, softSplit(map(first, FIRST.stride), LATER)) // [B, 4·N0, c]
  const pieces = softSplit(map(second, FIRST.stride * LATER.stride), LATER) // [B, N0, 9c]
  return linear(pieces, weights('tokens_to_token.project.weight'), weights('tokens_to_token.project.bias')) // [B, N0, C]
}

/**
 * Overlapping pieces of a map in raster order, each channel by channel, rows and columns within (PyTorch's Unfold):
 * `[B, h, w, c]` → `[B, h/s · w/s, c·k²]`.
 */
export function softSplit(x: Tensor, pieces: Pieces): Tensor {
  const byPlace = windowsAlong(windowsAlong(x, 1, pieces), 3, pieces) // [B, h/s, k, w/s, k, c]
  const [B, rows, k, columns, , c] = byPlace.shape as [Dim, number, number, number, number, number]
  return reshape(transpose(byPlace, [0, 1, 3, 5, 2, 4]), [B, rows * columns, c * k * k])
}

/**
 * Windows along an axis: `[…, n, …]` → `[…, places, k, …]`. A window is the ⌈k / s⌉ steps of s entries from its place
 * on, of which the first k count.
 */
function windowsAlong(x: Tensor, axis: number, { side: k, stride: s, padding: p }: Pieces): Tensor {
  const size = x.shape[axis] as number
  const places = Math.floor((size + 2 * p - k) / s) + 1
  const steps = Math.ceil(k / s)
  const length = s * (places + steps - 1)
  const padded = pad(x, axis, p, Math.max(0, length - size - p))
  const cut = (padded.shape[axis] as number) > length ? slice(padded, axis, 0, length) : padded
  const byStep = [...cut.shape.slice(0, axis), places, s, ...cut.shape.slice(axis + 1)]
  const from = Array.from({ length: steps }, (_, q) => reshape(slice(cut, axis, q * s, (q + places) * s), byStep))
  return slice(concat(from, axis + 1), axis + 1, 0, k)
}

/** The value, and what attention made of it, through the projection; then an MLP: `[B, n, c]` each. */
function finish(
  weight: Weights,
  v: Tensor,
  attended: Tensor,
  eps: number,
  proj: string,
  mlp: readonly [string, string],
) {
  const layer = (name: string, x: Tensor) => linear(x, weight(`${name}.weight`), weight(`${name}.bias`))
  const y = add(v, layer(proj, attended)) // [B, n, c]
  const normed = layerNorm(y, weight('norm2.weight'), weight('norm2.bias'), eps)
  return add(y, layer(mlp[1], gelu(layer(mlp[0], normed)))) // [B, n, c]
}

/** One head of plain attention, whose logits are scaled by the width of what comes in: `[B, n, m]` → `[B, n, c]`. */
function transformer(weight: Weights, x: Tensor, c: number, eps: number): Tensor {
  const y = layerNorm(x, weight('norm1.weight'), weight('norm1.bias'), eps) // [B, n, m]
  const [q, k, v] = split(linear(y, weight('attn.qkv.weight')), 2, 3) as [Tensor, Tensor, Tensor] // [B, n, c] each
  const scaled = scale(q, (c / (x.shape[2] as number)) ** 0.5) // attention itself divides by √c
  return finish(weight, v, attention(scaled, k, v, 1), eps, 'attn.proj', ['mlp.fc1', 'mlp.fc2'])
}

/** Keeps a row that attends to nothing from dividing by 0. */
const LEAST = 1e-8

/**
 * Attention in linear time: exp(q · k) is the mean of φ(q) φ(k) over random features w, φ(x) = exp(w · x - |x|² / 2).
 * `[B, n, m]` → `[B, n, c]`
 */
function performer(weight: Weights, x: Tensor, c: number, eps: number): Tensor {
  const y = layerNorm(x, weight('norm1.weight'), weight('norm1.bias'), eps) // [B, n, m]
  const [k, q, v] = split(linear(y, weight('kqv.weight'), weight('kqv.bias')), 2, 3) as [Tensor, Tensor, Tensor] // [B, n, c] each
  const random = weight('w') // [f, c]
  const positive = (t: Tensor) => {
    const half = scale(reduceSum(mul(t, t), [2], true), 0.5) // [B, n, 1]
    return scale(exp(sub(linear(t, random), half)), features(c) ** -0.5) // [B, n, f]
  }
  const [keys, queries] = [positive(k), positive(q)] // [B, n, f] each
  const sums = matmul(queries, reduceSum(keys, [1], true), { transB: true }) // [B, n, 1]
  const values = matmul(keys, v, { transA: true }) // [B, f, c]
  const attended = div(matmul(queries, values), add(sums, scalar(x.graph, LEAST))) // [B, n, c]
  return finish(weight, v, attended, eps, 'proj', ['mlp.0', 'mlp.2'])
}

/** Sine and cosine positions (arXiv 1706.03762, section 3.5) of rows in their order: `[1, rows, C]`. */
export function sinusoids(rows: number, C: number): Float32Array {
  return Float32Array.from({ length: rows * C }, (_, at) => {
    const [row, channel] = [Math.floor(at / C), at % C]
    const angle = row / 10_000 ** ((2 * Math.floor(channel / 2)) / C)
    return channel % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  })
}

/** Rows f of c numbers each at right angles to each other, of length √f, out of random ones. */
export function orthogonalFeatures(normal: () => number, f: number, c: number): Float32Array {
  const rows: Float64Array[] = []
  for (let i = 0; i < f; i++) {
    const row = Float64Array.from({ length: c }, normal)
    for (const known of rows) {
      const along = row.reduce((sum, value, j) => sum + value * (known[j] as number), 0)
      for (let j = 0; j < c; j++) row[j] = (row[j] as number) - along * (known[j] as number)
    }
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
    rows.push(row.map((value) => value / length))
  }
  return Float32Array.from(rows.flatMap((row) => Array.from(row, (value) => value * Math.sqrt(f))))
}

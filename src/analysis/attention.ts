/**
 * A block's attention map with its tokens in the order of the class token's attention, so that what is selected stands
 * before what idles: the paper's Figure 5 (IdleViT, arXiv 2310.05654).
 */

/** A square map over `rows` rows in a new order. */
export interface SortedMap {
  readonly rows: number
  /** `order[i]`: the row of the model that stands at place i; the prefix rows keep their places. */
  readonly order: readonly number[]
  /** `[N, N]`, row-major: query, then key. */
  readonly values: Float32Array
}

/**
 * Image tokens by falling score; of equal scores the lower index first.
 *
 * @param scores - of every image token
 */
export const rankTokens = (scores: ArrayLike<number>): number[] =>
  Array.from(scores, (_, token) => token).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b)

/**
 * What the class token pays every image token: the map's first row behind the prefix. In a model without rows before the
 * image tokens: what a token receives on average of all of them.
 */
export function classAttention(map: Float32Array, rows: number, prefix: number): Float32Array {
  if (prefix > 0) return map.subarray(prefix, rows)
  const received = new Float32Array(rows)
  for (const [at, value] of map.entries()) received[at % rows] = (received[at % rows] as number) + value / rows
  return received
}

/** What every image token receives from all rows on average: for models without a class token. */
export const received = (map: Float32Array, rows: number, prefix: number): Float32Array =>
  Float32Array.from({ length: rows - prefix }, (_, token) => {
    let sum = 0
    for (let query = 0; query < rows; query++) sum += map[query * rows + prefix + token] as number
    return sum / rows
  })

/**
 * Sorts the rows and columns of an attention map.
 *
 * @param map - `[N, N]`, row-major
 * @param prefix - rows before the image tokens
 * @param scores - of every image token, `[N - prefix]`
 */
export function sortMap(map: Float32Array, prefix: number, scores: ArrayLike<number>): SortedMap {
  const rows = prefix + scores.length
  if (map.length !== rows * rows) throw new Error(`map: wanted ${rows} × ${rows} values, found ${map.length}`)
  const order = [
    ...Array.from({ length: prefix }, (_, row) => row),
    ...rankTokens(scores).map((token) => token + prefix),
  ]
  const values = new Float32Array(map.length) // [N, N]
  for (const [i, query] of order.entries())
    for (const [j, key] of order.entries()) values[i * rows + j] = map[query * rows + key] as number
  return { rows, order, values }
}

/** Attention is drawn in multiples of the even share 1/N, from this to that, on a logarithmic scale. */
export const ATTENTION_RANGE = [1 / 16, 16] as const

/** Where on that scale the attention of one of `rows` rows lies: 0 at its low end, 1 at its high end. */
export function attentionPlace(value: number, rows: number): number {
  const [low, high] = ATTENTION_RANGE.map(Math.log2) as [number, number]
  return Math.min(1, Math.max(0, (Math.log2(value * rows) - low) / (high - low)))
}

/**
 * What idling does to features: how alike the dense model's are, picture by picture and token by token, and whether a
 * search among the pictures finds the same ones.
 */

import { meanCosineSimilarity } from '../analysis/similarity.js'
import { pieces } from '../files.js'
import type { ForwardResult } from '../runtime/classifier.js'
import { isGone, normaliseRows, type Pool, pooledOf, pooledWidth, type RowLayout } from '../runtime/pool.js'

/** Cosine of two rows; 1 for two rows of zeros, 0 where one is. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number]
    dot += x * y
    aa += x * x
    bb += y * y
  }
  if (aa === 0 || bb === 0) return aa === bb ? 1 : 0
  return dot / Math.sqrt(aa * bb)
}

/** Cosines of rows `[n, C]` with those of another array at the same place: `[n]`. */
export function cosines(a: Float32Array, b: Float32Array, C: number): number[] {
  const row = (rows: Float32Array, i: number) => rows.subarray(i * C, (i + 1) * C)
  return Array.from({ length: a.length / C }, (_, i) => cosine(row(a, i), row(b, i)))
}

/** How values are spread: quantiles are those of the sorted values, linear in between (NumPy's default). */
export interface Spread {
  readonly mean: number
  readonly min: number
  readonly p5: number
  readonly p25: number
  readonly median: number
  readonly p75: number
  readonly max: number
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const quantile = (q: number) => {
    const at = q * (sorted.length - 1)
    const [low, high] = [Math.floor(at), Math.ceil(at)].map((i) => sorted[i] ?? Number.NaN) as [number, number]
    return low + (high - low) * (at - Math.floor(at))
  }
  return {
    mean: values.reduce((a, b) => a + b, 0) / values.length,
    min: quantile(0),
    p5: quantile(0.05),
    p25: quantile(0.25),
    median: quantile(0.5),
    p75: quantile(0.75),
    max: quantile(1),
  }
}

/** Pictures whose neighbours are looked for: the cost is theirs times all, in time; memory stays the same. */
const QUERIES = 1000

export interface NeighbourAgreement {
  /** Pictures that were asked about: all, or evenly spread ones of more than a thousand. */
  readonly queries: number
  /** Share of the dense model's nearest picture, and of its ten nearest, found again; null among too few pictures. */
  readonly recallAt1: number | null
  readonly recallAt10: number | null
}

/**
 * The nearest pictures by cosine under two sets of features of the same pictures, a picture itself left out: which share
 * of those under the second is found under the first too. Of equal ones the first in order is nearer.
 *
 * @param files - of float32 rows `[rows, C]` without header
 */
export async function neighbourAgreement(
  files: readonly [features: string, dense: string],
  rows: number,
  C: number,
  queries = QUERIES,
): Promise<NeighbourAgreement> {
  const asked = Math.min(queries, rows)
  const chosen = Array.from({ length: asked }, (_, i) => Math.floor((i * rows) / asked))
  const [found, wanted] = [await nearest(files[0], chosen, C), await nearest(files[1], chosen, C)]
  const recall = (k: number) => {
    if (rows <= k) return null
    const shared = wanted.map((list, q) => {
      const others = new Set(found[q]?.slice(0, k))
      return list.slice(0, k).filter((index) => others.has(index)).length / k
    })
    return shared.reduce((a, b) => a + b, 0) / asked
  }
  return { queries: asked, recallAt1: recall(1), recallAt10: recall(10) }
}

const NEIGHBOURS = 10
const BLOCK_ROWS = 512

/** By query: the rows of a file that are nearest, the nearest first. */
async function nearest(file: string, queries: readonly number[], C: number): Promise<number[][]> {
  const own = new Float32Array(queries.length * C) // [Q, C]
  await eachBlock(file, C, (rows, first) => {
    for (const [q, index] of queries.entries()) {
      const at = (index - first) * C
      if (at >= 0 && at < rows.length) own.set(rows.subarray(at, at + C), q * C)
    }
  })
  const best = queries.map(() => ({ indices: [] as number[], scores: [] as number[] }))
  await eachBlock(file, C, (rows, first) => {
    for (const [q, query] of queries.entries()) {
      const { indices, scores } = best[q] as (typeof best)[number]
      for (let row = 0; row < rows.length / C; row++) {
        if (first + row === query) continue
        const score = dot(own, q * C, rows, row * C, C)
        if (scores.length === NEIGHBOURS && !(score > (scores.at(-1) as number))) continue
        let at = scores.length
        while (at > 0 && score > (scores[at - 1] as number)) at--
        scores.splice(at, 0, score)
        indices.splice(at, 0, first + row)
        if (scores.length > NEIGHBOURS) {
          scores.pop()
          indices.pop()
        }
      }
    }
  })
  return best.map(({ indices }) => indices)
}

async function eachBlock(file: string, C: number, use: (rows: Float32Array, first: number) => void): Promise<void> {
  let first = 0
  for await (const bytes of pieces(file, 0, 4 * C * BLOCK_ROWS)) {
    const rows = normaliseRows(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4), C)
    use(rows, first)
    first += rows.length / C
  }
}

function dot(a: Float32Array, i: number, b: Float32Array, j: number, length: number): number {
  let sum = 0
  for (let c = 0; c < length; c++) sum += (a[i + c] as number) * (b[j + c] as number)
  return sum
}

/** What idling did to the features. */
export interface Comparison {
  /** Cosine of a picture's features with the dense model's. */
  readonly cosine: Spread
  /** Pictures that changed most. */
  readonly worst: readonly { readonly path: string; readonly cosine: number }[]
  /** Nearest pictures of the set: how many of the dense model's are found. */
  readonly neighbours: NeighbourAgreement
  /** By block: mean cosine of image tokens behind it with the dense model's, over all that are still there. */
  readonly blocks: readonly {
    readonly block: number
    readonly cosine: number
    /** Share of the image tokens that the method has dropped by then. */
    readonly gone: number
    /** How alike a picture's image tokens are that are still there: mean cosine over all pairs; null where runs of an
     * earlier version noted none. */
    readonly alike: number | null
    /** The same of the dense model's. */
    readonly denseAlike: number | null
  }[]
}

/** Pictures told that changed most. */
const WORST = 5

/** What is kept of a batch for the {@link Comparison}. */
export interface BatchComparison {
  /** By picture. */
  readonly cosines: readonly number[]
  /**
   * By block: sum of the cosines of image tokens, how many of those are not there any more, and sums over pictures of how
   * alike its tokens are, and the dense model's.
   */
  readonly blocks: readonly {
    readonly sum: number
    readonly gone: number
    readonly alike: number
    readonly denseAlike: number
  }[]
}

/** Compares a batch under idling with the same under the dense model; both with `features` and `trace`. */
export function comparisonOf(
  result: ForwardResult,
  dense: ForwardResult,
  layout: RowLayout,
  pool: Pool,
): BatchComparison {
  const pooled = (of: ForwardResult) => pooledOf(of, layout, pool)
  return {
    cosines: cosines(pooled(result), pooled(dense), pooledWidth(layout, pool)),
    blocks: (result.blocks ?? []).map((rows, l) => {
      const reference = dense.blocks?.[l] as Float32Array
      const alike = { alike: alikeness(rows, layout), denseAlike: alikeness(reference, layout) }
      return { ...tokenCosines(rows, reference, layout), ...alike }
    }),
  }
}

/** Cosines of image tokens `[B, N, C]`; a token of zeros has been dropped. */
function tokenCosines(rows: Float32Array, dense: Float32Array, { prefix, tokens, width: C }: RowLayout) {
  let [sum, gone] = [0, 0]
  for (let row = 0; row < rows.length / C; row++) {
    if (row % (prefix + tokens) < prefix) continue
    const token = rows.subarray(row * C, (row + 1) * C)
    if (isGone(token)) gone++
    else sum += cosine(token, dense.subarray(row * C, (row + 1) * C))
  }
  return { sum, gone }
}

/** How alike the image tokens of each picture are that are there, summed over pictures; rows `[B, N, C]`. */
function alikeness(rows: Float32Array, { prefix, tokens, width: C }: RowLayout): number {
  let sum = 0
  for (let start = 0; start < rows.length; start += (prefix + tokens) * C) {
    const there: number[] = []
    for (let row = prefix; row < prefix + tokens; row++) {
      const token = rows.subarray(start + row * C, start + (row + 1) * C)
      if (!isGone(token)) there.push(...token)
    }
    sum += there.length > C ? meanCosineSimilarity(Float32Array.from(there), C) : 1
  }
  return sum
}

/**
 * Puts together what the batches noted.
 *
 * @param files - pooled features and the dense model's, float32 `[rows, width]`
 */
export async function compare(
  batches: readonly BatchComparison[],
  paths: readonly string[],
  files: readonly [features: string, dense: string],
  { tokens, width }: Pick<RowLayout, 'tokens' | 'width'>,
): Promise<Comparison> {
  const all = batches.flatMap((batch) => batch.cosines)
  const worst = [...all.keys()].sort((a, b) => (all[a] as number) - (all[b] as number)).slice(0, WORST)
  const total = (block: number, of: keyof BatchComparison['blocks'][number]) =>
    batches.reduce((sum, { blocks }) => sum + (blocks[block]?.[of] ?? Number.NaN), 0)
  const mean = (total: number) => (Number.isNaN(total) ? null : total / paths.length)
  return {
    cosine: spread(all),
    worst: worst.map((i) => ({ path: paths[i] as string, cosine: all[i] as number })),
    neighbours: await neighbourAgreement(files, paths.length, width),
    blocks: (batches[0]?.blocks ?? []).map((_, block) => {
      const gone = total(block, 'gone')
      const there = paths.length * tokens - gone
      return {
        block,
        cosine: total(block, 'sum') / there,
        gone: gone / (paths.length * tokens),
        alike: mean(total(block, 'alike')),
        denseAlike: mean(total(block, 'denseAlike')),
      }
    }),
  }
}

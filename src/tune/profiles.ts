/**
 * Plans of one form at any cost: a profile says how much of the leaving out each block does, a scale how much there is
 * in all.
 *
 * Of a method whose tokens do not come back (or whose groups only join) a weight is what the block takes away from the
 * rows that come in; of one whose tokens come back it is what the block leaves out by itself.
 */

/** How a method's counts follow from a profile. */
export interface Terms {
  readonly depth: number
  /** Image tokens N that enter the first block. */
  readonly tokens: number
  /** Blocks, counted from 0, whose counts change anything: those before this one. */
  readonly blocks: number
  /** What is gone stays gone. */
  readonly falling: boolean
  /** Blocks that leave everything as it is unless a search finds that they had better not. */
  readonly still?: readonly number[]
  /** A block leaves at least this share of the rows that come in. */
  readonly atLeast?: number
  /** A block that leaves out any rows leaves one more, the sum of them. */
  readonly fuses?: boolean
}

/** No block has fewer rows than this where they stand for all others. */
const LEAST = 8

/**
 * Tokens by block.
 *
 * @param weights - by block that counts, at least 0
 * @param scale - tokens left out for each unit of weight
 */
export function countsOf(weights: readonly number[], scale: number, terms: Terms): number[] {
  const { depth, tokens, blocks, falling, atLeast = 0, fuses = false } = terms
  const floor = falling ? Math.min(LEAST, tokens) : 1
  let [rows, gone] = [tokens, 0]
  return Array.from({ length: depth }, (_, l) => {
    const weight = l < blocks ? (weights[l] as number) : 0
    if (!falling) return clamp(Math.round(tokens - scale * weight), 1, tokens)
    gone += scale * weight
    if (l >= blocks || weight === 0) return rows
    const wanted = Math.round(Math.max(floor, tokens - gone))
    const left = clamp(wanted, Math.min(rows, Math.ceil(atLeast * rows)), rows)
    if (rows - left < (fuses ? 2 : 1)) return rows // one row fused with itself saves nothing
    rows = left + (fuses ? 1 : 0)
    return left
  })
}

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value))

/** The weights of a plan, on average 1. */
export function weightsOf(counts: readonly number[], { tokens, blocks, falling }: Terms): number[] {
  const out = counts.slice(0, blocks).map((count) => tokens - count)
  return normalized(falling ? out.map((gone, l) => Math.max(0, gone - Math.max(0, ...out.slice(0, l)))) : out)
}

/** The same profile with weights that are 1 on average. */
export function normalized(weights: readonly number[]): number[] {
  const mean = weights.reduce((a, b) => a + b, 0) / weights.length
  return mean > 0 ? weights.map((weight) => weight / mean) : weights.map(() => 1)
}

/**
 * A profile that leaves out (l / B)^power of what the last of B blocks leaves out before block l: below 1 early, above 1
 * late.
 */
export function powerProfile(power: number, { blocks, falling, still = [] }: Terms): number[] {
  let gone = 0
  return normalized(
    Array.from({ length: blocks }, (_, l) => {
      if (still.includes(l)) return 0
      const out = ((l + 1) / blocks) ** power
      const weight = falling ? out - gone : out
      gone = out
      return weight
    }),
  )
}

/** The scale at which a profile leaves no block more than it must have. */
const largest = (weights: readonly number[], { tokens }: Terms): number =>
  tokens / Math.min(...weights.filter((weight) => weight > 0))

/** The least that a plan of a profile costs. */
export const leastOf = (
  weights: readonly number[],
  cost: (counts: readonly number[]) => number,
  terms: Terms,
): number => cost(countsOf(weights, largest(weights, terms), terms))

/** A plan may cost so much less than it may, as a share of that. */
const CLOSE = 0.002
/** Plans that are costed at most on the way: finer steps change no count. */
const STEPS = 24

/**
 * The plan of a profile that costs as much as it may, found by interpolation (regula falsi, where an end that stays counts
 * half).
 *
 * @param cost - of tokens by block; falls on the whole as they get fewer
 * @returns undefined where even the fewest tokens cost more
 */
export function scaledTo(
  weights: readonly number[],
  most: number,
  cost: (counts: readonly number[]) => number,
  terms: Terms,
): number[] | undefined {
  const at = (scale: number) => {
    const counts = countsOf(weights, scale, terms)
    return { scale, counts, above: cost(counts) - most }
  }
  let exceeds = at(0)
  if (exceeds.above <= 0) return exceeds.counts
  const end = largest(weights, terms)
  let fits = at(Math.min(end, terms.tokens / weights.reduce((a, b) => a + b, 0)))
  while (fits.above > 0) {
    if (fits.scale >= end) return undefined
    exceeds = fits
    fits = at(Math.min(end, 2 * fits.scale))
  }
  let best = fits
  for (let step = 0; step < STEPS && best.above < -CLOSE * most; step++) {
    const share = exceeds.above / (exceeds.above - fits.above)
    // Every third step halves, however uneven the cost is.
    const scale = exceeds.scale + (fits.scale - exceeds.scale) * (step % 3 === 2 ? 0.5 : share)
    const counts = String(countsOf(weights, scale, terms))
    const between = fits.scale - exceeds.scale > 1e-6 * fits.scale
    if (!between || (counts === String(exceeds.counts) && counts === String(fits.counts))) break
    const next = at(scale)
    if (next.above > 0) {
      exceeds = next
      fits = { ...fits, above: fits.above / 2 }
    } else {
      fits = next
      if (next.above > best.above) best = next
      exceeds = { ...exceeds, above: exceeds.above / 2 }
    }
  }
  return best.counts
}

/**
 * The best profile at a given cost, by pattern search (Hooke & Jeeves, "Direct Search Solution of Numerical and
 * Statistical Problems", JACM 1961): neighbouring blocks together are given more or less of what is left out, the whole is
 * scaled back to the cost, and what loses less stays. First quarters of the depth, then single blocks, then finer steps.
 *
 * A measurement is dear, a cost is not: plans that were measured before are not measured again.
 */

import { normalized } from './profiles.js'

/** A profile, its plan at the cost, and what the plan loses. */
export interface Tried {
  readonly weights: readonly number[]
  readonly counts: readonly number[]
  /** Less is better. */
  readonly loss: number
}

export interface Problem {
  /** The plan of a profile at the cost; undefined where it has none. */
  planOf(weights: readonly number[]): readonly number[] | undefined
  measure(counts: readonly number[]): Promise<number>
}

/** By how much weights change, and how many pieces of the depth change at once. */
const rounds = [
  { pieces: 4, factor: 2.5 },
  { pieces: 8, factor: 2 },
  { pieces: Number.POSITIVE_INFINITY, factor: 1.6 },
  { pieces: 4, factor: 1.3 },
  { pieces: Number.POSITIVE_INFINITY, factor: 1.25 },
] as const

/** A block that leaves nothing out begins with this much, of 1 on average. */
const BEGIN = 0.25

/**
 * The best of some profiles.
 *
 * @returns undefined where none of them can be had at the cost
 */
export async function bestOf(starts: readonly (readonly number[])[], problem: Problem): Promise<Tried | undefined> {
  let best: Tried | undefined
  for (const weights of starts) {
    const tried = await tryOut(weights, problem)
    if (tried && (!best || tried.loss < best.loss)) best = tried
  }
  return best
}

async function tryOut(weights: readonly number[], problem: Problem): Promise<Tried | undefined> {
  const counts = problem.planOf(weights)
  return counts && { weights, counts, loss: await problem.measure(counts) }
}

/**
 * Improves a profile until no step helps, or as many plans have been measured as may be.
 *
 * @param tries - plans to measure at most
 */
export async function improve(start: Tried, problem: Problem, tries: number): Promise<Tried> {
  const seen = new Set([String(start.counts)])
  let [best, left] = [start, tries]
  /** Whether a step is one forward; a plan that was seen costs nothing and is none. */
  async function step(piece: readonly number[], factor: number): Promise<boolean> {
    const weights = changed(best.weights, piece, factor)
    const counts = problem.planOf(weights)
    if (left === 0 || !counts || seen.has(String(counts))) return false
    seen.add(String(counts))
    left--
    const loss = await problem.measure(counts)
    if (loss >= best.loss) return false
    best = { weights, counts, loss }
    return true
  }
  for (const { pieces, factor } of rounds)
    for (const piece of piecesOf(start.weights.length, pieces)) {
      const up = await step(piece, factor)
      const down = !up && (await step(piece, 1 / factor))
      // What helped once is done again.
      if (up || down) while (await step(piece, up ? factor : 1 / factor));
    }
  return best
}

/** Blocks in so many pieces of neighbours, the last ones first: there most can be left out. */
function piecesOf(length: number, count: number): number[][] {
  const pieces = Math.min(length, count)
  const start = (i: number) => Math.round((i * length) / pieces)
  return Array.from({ length: pieces }, (_, i) => {
    const [from, to] = [start(pieces - 1 - i), start(pieces - i)]
    return Array.from({ length: to - from }, (_, j) => from + j)
  })
}

function changed(weights: readonly number[], piece: readonly number[], factor: number): number[] {
  const begin = factor > 1 ? BEGIN : 0
  return normalized(weights.map((weight, l) => (piece.includes(l) ? Math.max(begin, weight * factor) : weight)))
}

/** The front of best points: those that no other beats in one respect without being worse in another (Pareto 1906). */

export interface Tradeoff {
  /** Less is better. */
  readonly cost: number
  /** More is better. */
  readonly gain: number
}

/** Indices of the points on the front, from the least cost; of points in the same place all. */
export function bestPoints(points: readonly Tradeoff[]): number[] {
  const beats = (a: Tradeoff, b: Tradeoff) =>
    a.cost <= b.cost && a.gain >= b.gain && (a.cost < b.cost || a.gain > b.gain)
  return [...points.keys()]
    .filter((i) => !points.some((other) => beats(other, points[i] as Tradeoff)))
    .sort((i, j) => (points[i] as Tradeoff).cost - (points[j] as Tradeoff).cost)
}

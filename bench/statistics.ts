/** What a benchmark says of repeated measurements. */

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
  /** `median (min … max)` */
  readonly text: string
}

export function spread(values: readonly number[], digits = 3): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (i: number) => sorted[i] ?? Number.NaN
  const [min, median, max] = [at(0), (at((sorted.length - 1) >> 1) + at(sorted.length >> 1)) / 2, at(sorted.length - 1)]
  const show = (value: number) => value.toFixed(digits)
  return { min, median, max, text: `${show(median)} (${show(min)} … ${show(max)})` }
}

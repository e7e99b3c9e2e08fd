/** Ranges of axes: round numbers around the values, never a range of nothing. */

export type Range = readonly [low: number, high: number]

export interface RangeOptions {
  /** Shortest range, in the units of the values; default a twentieth of the largest. */
  readonly least?: number
  /** Where the values can be at all: the range ends there. */
  readonly within?: Range
  /** Share of the range that is left free at either end; default 0. */
  readonly margin?: number
}

/** Values below it are zero. */
const SMALLEST = 1e-100
/** About so many steps between numbers on an axis. */
const STEPS = 5

/** Where the next factor is nearer, on a logarithmic scale. */
const NEXT: Readonly<Record<number, number>> = { 1: Math.SQRT2, 2: Math.sqrt(10) / 2, 5: Math.SQRT2 }

/** A step of 1, 2 or 5 times a power of ten that goes into a length about {@link STEPS} times. */
export function roundStep(length: number): number {
  const rough = length / STEPS
  const power = 10 ** Math.floor(Math.log10(rough))
  const nearest = [1, 2, 5].find((factor) => rough / power < factor * (NEXT[factor] as number)) ?? 10
  return nearest * power
}

/** A range of round numbers that holds all values. */
export function rangeOf(values: readonly number[], { least, within, margin = 0 }: RangeOptions = {}): Range {
  const known = values.filter(Number.isFinite)
  if (known.length === 0) return within ?? [0, 1]
  const [min, max] = [Math.min(...known), Math.max(...known)]
  const largest = Math.max(Math.abs(min), Math.abs(max))
  const shortest = least ?? (largest > SMALLEST ? largest / 20 : 1)
  const missing = Math.max(0, shortest - (max - min)) / 2
  const free = margin * Math.max(max - min, shortest)
  const [low, high] = [min - missing - free, max + missing + free]
  const step = roundStep(high - low)
  // Multiples of a step like 0.1 are not exact: a value on one does not ask for the next.
  const [from, to] = [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step]
  const tidy = (value: number) => Number(value.toPrecision(12))
  return within ? [tidy(Math.max(within[0], from)), tidy(Math.min(within[1], to))] : [tidy(from), tidy(to)]
}

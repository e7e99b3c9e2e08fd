/** The learning rate over time: cosine (Loshchilov and Hutter, arXiv 1608.03983) with linear warm-up, as timm has it. */

export interface CosineOptions {
  /** Learning rate at the top. */
  readonly base: number
  /** Learning rate at the end; default 0. */
  readonly min?: number
  /** Length, in the unit of t: epochs, or steps. */
  readonly length: number
  /** Length of the warm-up, part of `length`; the cosine is not shifted by it. Default 0. */
  readonly warmup?: number
  /** Learning rate at the start of the warm-up; default 1e-6. */
  readonly warmupRate?: number
}

/** Learning rate at time t, which may lie between whole epochs; `min` from `length` on. */
export function cosineRate(t: number, options: CosineOptions): number {
  const { base, min = 0, length, warmup = 0, warmupRate = 1e-6 } = options
  if (t < warmup) return warmupRate + (t * (base - warmupRate)) / warmup
  if (t >= length) return min
  return min + 0.5 * (base - min) * (1 + Math.cos((Math.PI * t) / length))
}

/**
 * Learning rate of a whole epoch. The official finetuning loop sets the rate after the epoch instead of before, so that
 * it lags one epoch behind and the first value serves twice: `lag` 1.
 */
export const epochRate = (epoch: number, options: CosineOptions, lag: 0 | 1 = 0): number =>
  cosineRate(Math.max(0, epoch - lag), options)

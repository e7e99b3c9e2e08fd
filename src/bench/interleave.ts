/**
 * Fair timing of several things on one noisy machine: they take turns in short blocks of consecutive runs, and
 * ratios are formed inside each round, so that what slows the machine slows all of them.
 */

/** Something to be timed. */
export interface Contender {
  /** One run, e.g. one batch through a session. */
  run(): Promise<unknown>
}

export interface BenchmarkOptions {
  /** Rounds that count. */
  readonly rounds: number
  /** Shortest block of consecutive runs that count, in milliseconds. */
  readonly blockMilliseconds: number
  /** Shortest time at the beginning of a block whose runs do not count, at least one; default 100 milliseconds. */
  readonly settleMilliseconds?: number
  /** Rounds before those that count. */
  readonly warmup: number
  /** The clock, in milliseconds. */
  readonly now?: () => number
  /** Called after every round. */
  readonly onRound?: (done: number, total: number) => void
}

/** What a contender's blocks took. */
export interface Timing {
  /** Milliseconds of one run: of each round the mean of its block. */
  readonly rounds: readonly number[]
  readonly min: number
  readonly median: number
  readonly max: number
}

/**
 * Times contenders in alternating blocks.
 *
 * The first runs of a block are not counted: they refill the caches that the others emptied, and threads of the one
 * before may wait for work in a loop for a while longer (ONNX Runtime's for 45 ms), which takes a core. Figures are
 * those of a session that runs one batch after the other, alone.
 */
export async function interleave(contenders: readonly Contender[], options: BenchmarkOptions): Promise<Timing[]> {
  const {
    rounds,
    warmup,
    blockMilliseconds,
    settleMilliseconds = 100,
    now = () => performance.now(),
    onRound,
  } = options
  const times = contenders.map((): number[] => [])
  /** Mean milliseconds of consecutive runs, at least one, that take so long together. */
  async function timed(contender: Contender, milliseconds: number): Promise<number> {
    const start = now()
    let runs = 0
    do {
      await contender.run()
      runs++
    } while (now() - start < milliseconds)
    return (now() - start) / runs
  }
  for (let round = -warmup; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      await timed(contender, settleMilliseconds)
      const time = await timed(contender, blockMilliseconds)
      if (round >= 0) times[i]?.push(time)
    }
    onRound?.(round + warmup + 1, rounds + warmup)
  }
  return times.map((each) => ({ rounds: each, min: Math.min(...each), median: median(each), max: Math.max(...each) }))
}

/** How many times faster `contender` is than `baseline`: the median over rounds of the ratio inside each round. */
export const speedup = (baseline: Timing, contender: Timing): number =>
  median(baseline.rounds.map((time, round) => time / (contender.rounds[round] as number)))

/** The middle value; of an even number of values the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const upper = sorted.length >> 1
  const high = sorted[upper] as number
  return sorted.length % 2 === 1 ? high : (high + (sorted[upper - 1] as number)) / 2
}

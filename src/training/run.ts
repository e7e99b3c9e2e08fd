/** What a training run consists of, and what it tells: the types that loop, log, report and command share. */
import type { LeftOut } from '../data/left-out.js'
import type { KeepRequest } from '../reduction/schedule.js'
import type { Values } from '../runtime/session.js'
import type { StateDict } from '../weights/state.js'
import type { Position } from './checkpoint.js'
import type { Evaluation, LogEntry, ReferenceEntry } from './log.js'
import type { Parameters } from './parameters.js'
import type { GraphPlan } from './plan.js'
import type { Recipe } from './recipe.js'
import type { Student } from './student.js'

/** A batch of training pictures, ready for the step. */
export interface DrawnBatch {
  /** [B, 3, S, S]; valid until the next batch is asked for. */
  readonly pixels: Values
  /** [B, classes] */
  readonly targets: Values
  /** How far into the epoch's order this batch reaches. */
  readonly drawn: number
}

/** The pictures of a run. */
export interface TrainingData {
  /** Draws in an epoch. */
  readonly pictures: number
  /** Full batches of an epoch from a position of its order on; the same ones however often they are asked for. */
  batches(epoch: number, drawn: number, onSkip: (name: string, reason: string) => void): AsyncIterable<DrawnBatch>
}

/** The best evaluation so far: after which epoch, of the weights or of their moving average. */
export interface Best extends Evaluation {
  readonly epoch: number
  readonly of: 'weights' | 'average'
}

/** How far a run is and what it has found: what a checkpoint holds besides tensors. */
export interface Progress extends Position {
  readonly stepInEpoch: number
  /** Sums over the updates of this epoch. */
  readonly sums: { readonly loss: number; readonly parts: Readonly<Record<string, number>>; readonly seconds: number }
  readonly best?: Best
  /** Names of pictures that could not be read, each once. */
  readonly skipped: readonly string[]
  /** Seconds of training in all, evaluation left out. */
  readonly seconds: number
  readonly recipe: Recipe
  readonly fingerprint: string
}

/** What a run consists of. */
export interface TrainingRun {
  readonly recipe: Recipe
  readonly parameters: Parameters
  /** What gives gradients at the present values of `parameters`. */
  readonly student: Pick<Student, 'run' | 'lanes'>
  readonly data: TrainingData
  /** Blocks of the model, for stochastic depth. */
  readonly depth: number
  /** Image tokens by block for an elastic run; fixed plans are part of the student. */
  readonly keepTokens?: (request: KeepRequest) => readonly number[]
  /** The plan of a moment, `part` of the way through an epoch, where it changes while the run goes on. */
  readonly planAt?: (epoch: number, part: number) => GraphPlan
  readonly evaluate: (state: StateDict) => Promise<Evaluation>
  /** What the run is held against, evaluated once before the first update. */
  readonly references?: readonly {
    readonly name: ReferenceEntry['name']
    readonly evaluate: () => Promise<Evaluation>
  }[]
  /** Epochs from one evaluation to the next; the last is always evaluated. Default 1. */
  readonly evaluateEvery?: number
  /** Writes the model that is the best so far. */
  readonly saveBest: (state: StateDict, best: Best) => Promise<void>
  /** Where `log.jsonl` and `checkpoints/` are. */
  readonly folder: string
  readonly resume?: boolean
  /** Longest time between checkpoints in seconds; one is written after every epoch anyway. Default 600. */
  readonly saveSeconds?: number
  /** Ends the run at the next update, with a checkpoint. */
  readonly signal?: AbortSignal
  /** Tells model, teacher and pictures from others: a run is resumed with the same only. */
  readonly fingerprint?: string
  readonly names?: { readonly model: string; readonly data: string }
  /** What the data hold and no reader uses, for the log. */
  readonly leftOut?: readonly LeftOut[]
  readonly onEntry?: (entry: LogEntry, progress: Progress, updates: number) => void | Promise<void>
  readonly warn?: (message: string) => void
}

export interface TrainingSummary {
  readonly progress: Progress
  /** Updates of the whole run. */
  readonly updates: number
  /** The signal ended the run before its time; this checkpoint holds it. */
  readonly interrupted?: string
}

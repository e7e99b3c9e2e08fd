/** What the page asks of the engine in its worker, and what it answers. */

import type { Device, Inspection, Precision, Prediction, RgbImage, TokenState } from 'idlevit'

/** Where a model comes from. */
export type Source =
  | { readonly kind: 'demo'; readonly address: string }
  | { readonly kind: 'remote'; readonly address: string }
  | { readonly kind: 'files'; readonly files: readonly File[] }

/** How far a download is. */
export interface Progress {
  readonly text: string
  /** Bytes, where the sender says how many there are. */
  readonly loaded?: number
  readonly total?: number
}

/** What there is to know about the model that is open. */
export interface ModelInfo {
  readonly name: string
  readonly imageSize: number
  /** Patches along a side. */
  readonly grid: number
  readonly depth: number
  readonly params: number
  /** How the model was left to be idled, when its files say so. */
  readonly keepRatio?: number
  readonly warnings: readonly string[]
  /** The methods that the library has, the dense model among them. */
  readonly methods: readonly string[]
  /** Where it is computed, and why there. */
  readonly runsOn: string
}

/** One answer of one model. */
export interface Answer {
  readonly top: readonly Prediction[]
  readonly milliseconds: number
}

/** The dense model's answer, and what it costs. */
export interface DenseAnswer extends Answer {
  /** Multiply-adds. */
  readonly macs: number
}

/** What became of every patch at one keep ratio. */
export interface Tokens {
  /** `[depth][tokens]` */
  readonly states: readonly (readonly TokenState[])[]
  /** The scores that idle blocks chose by, by block; a block that chose nothing has none. */
  readonly scores: readonly (Float32Array | undefined)[]
  /** Multiply-adds at this keep ratio. */
  readonly macs: number
}

/** Medians of runs that took turns. */
export interface Times {
  readonly idled: number
  readonly dense: number
  readonly turns: number
}

/** What one method did with the picture. */
export interface MethodView {
  readonly states: readonly (readonly TokenState[])[]
  readonly top: readonly Prediction[]
  /** The most they can be, where pictures decide. */
  readonly macs: number
  readonly varies: boolean
}

/** One row of the bench. */
export interface BenchRow {
  readonly keepRatio: number
  readonly precision: Precision
  readonly device: Device
}

export interface BenchResult {
  /** Median of its runs. */
  readonly milliseconds: number
  readonly runs: number
  readonly macs: number
  readonly warnings: readonly string[]
}

/** The engine: one job at a time, in the order of the questions. */
export interface Engine {
  load(source: Source): Promise<ModelInfo>
  /** What the model sees of a picture from now on: 8-bit RGB `[S, S, 3]`. */
  picture(image: RgbImage): Promise<Uint8Array>
  dense(): Promise<DenseAnswer>
  /** Sends the {@link Answer} as an event as soon as it is known, and what became of the patches at the end. */
  answer(keepRatio: number): Promise<Tokens>
  time(keepRatio: number): Promise<Times>
  inspect(keepRatio: number): Promise<Inspection>
  compare(method: string, keepRatio: number): Promise<MethodView>
  bench(row: BenchRow): Promise<BenchResult>
}

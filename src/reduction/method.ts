/**
 * The seam between models and token reduction: what a method tells of itself, and what it does in a block.
 *
 * A method is one file. It says what happens to the rows before a block, between attention and MLP, and at the readout;
 * which options it has, how many tokens they leave, which weights it reads beyond the model's, and what it carries from
 * block to block. Models call it without knowing which one it is.
 */

import type { Bindings, Dim, Shape } from '../graph/dims.js'
import type { DType, Graph, Tensor } from '../graph/graph.js'
import type { FullAttention } from '../losses/cut.js'
import type { Random } from '../random.js'
import type { Block } from './block.js'
import type { Rows } from './rows.js'
import type { KeepPlan, KeepRequest } from './schedule.js'

/** Sizes of a model, as far as a method needs them. */
export interface ModelShape {
  /** Blocks L. */
  readonly depth: number
  /** Image tokens N0 that enter the first block. */
  readonly tokens: number
  /** Rows before the image tokens. */
  readonly prefix: number
  /** Token width C. */
  readonly width: number
  /** Attention heads H; absent on a pyramid, whose stages have numbers of their own. */
  readonly heads?: number
  /** `false`: no class token leads the rows. */
  readonly classToken?: boolean
  /** A learned query pools the rows behind the last block. */
  readonly poolingQuery?: boolean
  /** Queries and keys are turned by their row's place. */
  readonly turned?: boolean
  /** Of a pyramid its stages: fewer and wider tokens in each, which attend within windows. */
  readonly stages?: readonly StageShape[]
}

/** Sizes of one stage of a pyramid. */
export interface StageShape {
  /** Its first block. */
  readonly first: number
  /** Its blocks. */
  readonly depth: number
  /** Tokens of a picture. */
  readonly tokens: number
  /** Rows and columns of their map. */
  readonly map: readonly [number, number]
  readonly width: number
  /** Rows of a window. */
  readonly windowRows: number
}

/** Image tokens that every block could compute. */
export const tokensByBlock = ({ depth, tokens, stages }: ModelShape): number[] =>
  stages?.flatMap((stage) => new Array<number>(stage.depth).fill(stage.tokens)) ?? new Array<number>(depth).fill(tokens)

/** What will be read of a block's rows: so many leading ones, or all. What nobody reads need not be computed. */
export type Reads = number | 'all'

/** What a block did. */
export interface Step<S> {
  /** Rows that leave the block; only those that are read. */
  readonly rows: Rows
  /** What the method carries on to the next block. */
  readonly state: S
  /** Image rows that went through the block; a symbol where every picture has its own number. */
  readonly tokens: Dim
  /** `[B]` each: sizes that are every picture's own, by the symbol that stands for them in shapes. */
  readonly sizes?: Readonly<Record<string, Tensor>>
  /** int64 `[B, K]`: the image rows, of those that came in, that were computed or that go on, best first. */
  readonly kept?: Tensor
  /** `[B, m]`: what the image rows that came in are ranked by. */
  readonly scores?: Tensor
  /** `[B, N0]`: 1 for tokens that were computed, 0 for others; absent: all that are still there. */
  readonly computed?: Tensor
  /** What the attention of all rows follows from, for the token cut loss. */
  readonly attention?: FullAttention
  /** Whatever else is worth a look, for losses and for comparison with other implementations. */
  readonly seen?: Readonly<Record<string, Tensor>>
}

/** A method at work in a graph. S: what it carries from block to block. */
export interface Form<S = undefined> {
  /** What is carried into the first block. */
  start(rows: Rows): S
  /** Rows in, rows out. */
  block(block: Block, rows: Rows, state: S, reads: Reads): Step<S>
  /** Before the readout; absent: the rows as they left the last block. */
  end?(rows: Rows, state: S): Rows
}

/** The form of a method that carries nothing. */
export const stateless = (
  block: (block: Block, rows: Rows, reads: Reads) => Omit<Step<undefined>, 'state'>,
): Form<undefined> => ({
  start: () => undefined,
  block: (each, rows, _, reads) => ({ ...block(each, rows, reads), state: undefined }),
})

/** What a method builds with. */
export interface Build {
  readonly graph: Graph
  readonly shape: ModelShape
  /** A weight by its name in the checkpoint. @throws InputError when the model has none of that name */
  weight(name: string): Tensor
  /** What is fed at every run: a count, noise. Asked for twice it is the same tensor. */
  input(name: string, shape: Shape, dtype?: DType): Tensor
}

/** An option of one method, `--method-option name=value`. */
export interface Setting<T> {
  readonly describes: string
  /** What a value has to be, for messages: `a whole number of at least 0`. */
  readonly wanted: string
  /** The value of a text; `undefined` where it does not fit. */
  parse(text: string): T | undefined
  /** It says by itself how many tokens there are, so that keep ratios have nothing to say. */
  readonly schedules?: boolean
}

/** `gathered` computes only what is needed; `masked` computes all rows and masks. */
export type FormName = 'gathered' | 'masked'

/** How many rows every block has; what a method is built from. */
export interface MethodPlan {
  /**
   * By block: image rows that it computes, or leaves to the next one, as the method counts them. A block that has no
   * more of them than come in changes nothing.
   */
  readonly keep: readonly (number | 'fed')[]
  /** The shares of all tokens that were asked for, where `keep` are their rounded counts. */
  readonly ratios?: readonly number[] | undefined
  /** `gathered` computes only what is needed; `masked` computes all rows and masks, where a method has that form. */
  readonly form?: FormName | undefined
  /** Compute all that the official code computes: for counting and comparing. Default: only what can be seen. */
  readonly official?: boolean | undefined
}

/** Another way to count a method's multiply-adds, beside those that are executed. */
export interface Counting<S> {
  /** For people. */
  readonly label: string
  /** How the graph that is counted differs. */
  readonly plan: Pick<MethodPlan, 'official'> & S
}

/** What a method's own losses are computed from. B pictures. */
export interface LossInputs {
  readonly shape: ModelShape
  /** What every block did. */
  readonly steps: readonly Step<unknown>[]
  /** Each head's logits, `[B, classes]`. */
  readonly headLogits: readonly Tensor[]
  /** `[B, classes]`: soft targets. */
  readonly targets: Tensor
  /** Whether there is a teacher. */
  readonly taught: boolean
  /** The student's and the teacher's rows after the final LayerNorm, `[B, P + N0, C]`; without a teacher absent. */
  readonly rows?: { readonly student: Tensor; readonly teacher: Tensor }
}

/** A loss that a method trains with, beside the cross entropy and what every method may learn from a teacher. */
export interface OwnLoss<S = object> {
  /** For charts and tables. */
  readonly label: string
  /** Its coefficient unless another one is asked for. */
  readonly weight: number
  /** It compares rows with the teacher's; without one it is left out. */
  readonly comparesRows?: boolean
  /** It reads the logits of a second head, on the class token beside the mean of all tokens. */
  readonly needsClassHead?: boolean
  /** What the method has to compute for it. */
  readonly settings?: (plan: MethodPlan & S) => Partial<S>
  /** A scalar before its coefficient; `undefined` where no block gives it anything. */
  compute(from: LossInputs, plan: MethodPlan & S): Tensor | undefined
}

/** How a method learns. */
export interface Learning<S = object> {
  /** Losses of its own, by name. */
  readonly losses?: Readonly<Record<string, OwnLoss<S>>>
  /** Forms that have the gradients it needs, the default first; absent: gathered alone. */
  readonly forms?: readonly FormName[]
  /** What is fed as noise, by what the names of such inputs begin with: one number of it. */
  readonly noise?: Readonly<Record<string, (random: Random) => number>>
}

/** What a graph that is told its number of tokens when it runs can be told. S: the method's options. */
export interface Elastic<S = object> {
  /** The first block that is told; those before it compute every token. */
  from(depth: number): number
  /** Why it cannot be told this plan, as the end of a message; `undefined` where it can. */
  objection?(plan: KeepPlan & S, shape: ModelShape): string | undefined
}

/** A token reduction method. S: its options. */
export interface Method<S extends object = object> {
  readonly name: string
  /** One line, for help. */
  readonly summary: string
  /** What a keep ratio K means to it, for help. */
  readonly keeps?: string
  /** Where it is published. */
  readonly paper?: string
  /** Whether rows leave for good, so that fewer come out than went in. */
  readonly shrinks: boolean
  /** It ranks tokens by the class token's attention, and has no other way. */
  readonly needsClassToken?: boolean
  /** It tells blocks which rows it hands them, so that queries and keys can be turned by their place. */
  readonly tellsPlaces?: boolean
  /** Whether it knows pyramids of windows (`able`), or nothing else (`only`); absent: it knows none. */
  readonly windows?: 'able' | 'only'
  /** Its keep ratios say more than the rounded counts: a saved model tells those. */
  readonly keepsShares?: boolean
  /** How the number of tokens can be an input of the graph; absent: it cannot. */
  readonly elastic?: Elastic<S>
  /** Its options, those a user may set. */
  readonly settings: { readonly [K in keyof S]?: Setting<NonNullable<S[K]>> }
  /**
   * Rows by block for what was asked, and the options that were left open.
   *
   * @throws InputError when that cannot be
   */
  plan(request: KeepRequest & S, shape: ModelShape): KeepPlan & S
  /** Weights it reads beyond the model's under a plan, with their shapes. */
  parameters?(shape: ModelShape, keep: readonly number[], settings?: Partial<S>): ReadonlyMap<string, readonly number[]>
  /** What such a weight starts from in all its entries; absent or `undefined`: as layers of its kind do. */
  initial?(name: string): number | undefined
  /** Names of such weights in a checkpoint, whoever wants them. */
  readonly ownsWeight?: RegExp
  /**
   * The most that sizes can be which pictures decide, by their symbol; absent: the image rows that the plan keeps.
   */
  most?(plan: MethodPlan & S, shape: ModelShape): Bindings
  /** Whether a run takes one picture alone under a plan, whose graph is sized by what the picture decides. */
  onePicture?(plan: Pick<MethodPlan, 'form'> & S): boolean
  /** Ways to count its multiply-adds, by name in JSON; default: the official structure. */
  readonly countings?: Readonly<Record<string, Counting<S>>>
  /** How it learns; absent: by the losses that every method has. */
  readonly learning?: Learning<S>
  /** Starts it in a graph. */
  open(build: Build, plan: MethodPlan & S): Form<unknown>
}

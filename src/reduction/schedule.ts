/**
 * How many image tokens each block keeps.
 *
 * IdleViT divides the depth into four equal stages and keeps N, kN, k²N, k³N tokens (arXiv 2310.05654, section 4.1);
 * counts are truncated float products, as in the official code.
 */

import { fail } from '../errors.js'

/** Which blocks keep a fraction: `paper` = four equal stages; `train-script` = DeiT blocks 4 … 11 (official main.py). */
export type Stages = 'paper' | 'train-script'

/** The first block of the second stage: those before it compute every token. */
export const firstIdleBlock = (depth: number): number => Math.max(1, Math.floor(depth / 4))

/** The first blocks of the second, third and fourth stage. */
export const stageStarts = (depth: number): number[] => [1, 2, 3].map((stage) => stage * firstIdleBlock(depth))

/** The input that tells an elastic graph how many image tokens every block computes, int64 `[L]`. */
export const KEEP_INPUT = 'keep_tokens'

/** The symbolic dimension that stands for the image tokens of a block, where they are known when the graph runs. */
export const keptSymbol = (block: number): string => `kept${block}`

/** What an elastic graph keeps: all tokens before the first block that is told its number when the graph runs. */
export const elasticKeep = (depth: number, tokens: number, from: number): readonly (number | 'fed')[] =>
  Array.from({ length: depth }, (_, l) => (l < from ? tokens : 'fed'))

/** Ratio of every block for base ratio k: 1, k, k², k³ over four stages. */
export function stageRatios(depth: number, base: number, stages: Stages = 'paper'): number[] {
  if (stages === 'paper') {
    const length = firstIdleBlock(depth)
    return Array.from({ length: depth }, (_, l) => base ** Math.min(3, Math.floor(l / length)))
  }
  const length = Math.ceil(depth / 4)
  return Array.from({ length: depth }, (_, l) => (l < 4 ? 1 : base ** Math.min(3, 1 + Math.floor((l - 4) / length))))
}

/** Tokens kept of `tokens`, by block. A ratio of 1 keeps all; at least one token is kept. */
export const keptTokens = (tokens: number, ratios: readonly number[]): number[] =>
  ratios.map((ratio) => Math.max(1, Math.trunc(tokens * ratio)))

/** What the user asked for; at most one of the three. */
export interface KeepRequest {
  readonly keepRatio?: number | undefined
  readonly keepRatios?: readonly number[] | undefined
  readonly keepTokens?: readonly number[] | undefined
}

/** Tokens to keep in every block, and remarks on an unusual plan. */
export interface KeepPlan {
  readonly keep: readonly number[]
  readonly ratios: readonly number[]
  readonly warnings: readonly string[]
}

/**
 * Turns a request into the number of image tokens that each of `depth` blocks keeps of `tokens`.
 *
 * @throws InputError on values out of range or a list of the wrong length
 */
export function planKeep(request: KeepRequest, depth: number, tokens: number): KeepPlan {
  const { keepRatio, keepRatios, keepTokens } = request
  checkRequest(request, depth, tokens)
  if (keepTokens) {
    const ratios = keepTokens.map((n) => n / tokens)
    return { keep: keepTokens, ratios, warnings: risingWarning(ratios) }
  }
  const ratios = keepRatios ?? stageRatios(depth, keepRatio ?? 1)
  return { keep: keptTokens(tokens, ratios), ratios, warnings: risingWarning(ratios) }
}

/**
 * Makes sure that a request says one thing, and says it for every block.
 *
 * @throws InputError on values out of range or a list of the wrong length
 */
export function checkRequest(request: KeepRequest, depth: number, tokens: number): void {
  const { keepRatio, keepRatios, keepTokens } = request
  const given = [keepRatio, keepRatios, keepTokens].filter((value) => value !== undefined)
  if (given.length > 1) fail('keep ratio: wanted one of keepRatio, keepRatios, keepTokens, found several')
  if (keepTokens) checkLength('keepTokens', keepTokens, depth)
  for (const n of keepTokens ?? [])
    if (!Number.isInteger(n) || n < 1 || n > tokens) fail(`keepTokens: wanted counts from 1 to ${tokens}, found ${n}`)
  if (keepRatios) checkLength('keepRatios', keepRatios, depth)
  for (const ratio of keepRatios ?? [keepRatio ?? 1])
    if (!(ratio > 0 && ratio <= 1))
      fail(`keep ratio: wanted a number above 0 and at most 1, found ${ratio}${percentHint(ratio)}`)
}

/** A plan whose rows are known, with the share of the image tokens that they are. */
export const withRatios = (keep: readonly number[], tokens: number): KeepPlan => ({
  keep,
  ratios: keep.map((n) => n / tokens),
  warnings: [],
})

/**
 * A plan as {@link planKeep} makes it, for methods whose tokens do not come back.
 *
 * @throws InputError also where a block would have more tokens than the one before it
 */
export function fallingKeep(method: string, request: KeepRequest, depth: number, tokens: number): KeepPlan {
  const plan = planKeep(request, depth, tokens)
  const l = plan.keep.findIndex((kept, block) => kept > (plan.keep[block - 1] ?? tokens))
  if (l > 0)
    fail(
      `${method}: tokens that are gone do not come back, but block ${l} keeps ${plan.keep[l]} after ${plan.keep[l - 1]}`,
    )
  return plan
}

function checkLength(name: string, list: readonly number[], depth: number): void {
  if (list.length !== depth) fail(`${name}: wanted ${depth} values, one per block, found ${list.length}`)
}

function risingWarning(ratios: readonly number[]): string[] {
  const block = ratios.findIndex((ratio, l) => l > 0 && ratio > (ratios[l - 1] as number))
  if (block < 0) return []
  return [`keep ratios rise at block ${block} (${ratios[block - 1]} → ${ratios[block]}); the paper's never do`]
}

/** What was probably meant by a share that looks like a percentage; 1.5 is none that anybody means, 70 is. */
export const percentHint = (value: number): string =>
  value >= 2 && value <= 100 ? `: ${value / 100} was probably meant` : ''

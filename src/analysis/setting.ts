/** What pictures were looked at with, and in words what a method does to their tokens. */

import type { Picture } from '../page/page.js'
import type { Inspection } from './inspect.js'

/** A picture and what the model did with it. */
export interface Inspected {
  /** What people call it: the file's name. */
  readonly name: string
  /** 8-bit RGB `[height, width, 3]`, what the model sees of it. */
  readonly rgb: Uint8Array
  readonly inspection: Inspection
}

/**
 * What a token of a pyramid does in a block that does not select it: it passes the whole block by (`block`), or the MLP alone
 * (`ffn`); it takes a light path in place of the MLP (`light`); or it is zero (`dead`).
 */
export type Left = 'block' | 'ffn' | 'light' | 'dead'

/** What the pictures were looked at with. */
export interface Setting {
  readonly model: string
  /** The token reduction method, and what it does in a line. */
  readonly method: string
  readonly summary: string
  readonly imageSize: number
  /** Of pictures that are not square; `imageSize` is their width. */
  readonly imageHeight?: number
  /** Image tokens that every block computes. */
  readonly keep: readonly number[]
  /** All image tokens; of a pyramid those of its first map. */
  readonly tokens: number
  /** Whether a class token ranks them. */
  readonly classToken: boolean
  /** Of a pyramid all tokens of every block, fewer from stage to stage. */
  readonly maps?: readonly number[]
  /** Of a pyramid what tokens do that are not selected. */
  readonly left?: Left
  readonly gmacs: { readonly dense: number; readonly idle: number }
}

/** Puts a picture among the files and hands it on. */
export type AddFile = (name: string, picture: Picture) => Picture

/** What a token does that is not selected. */
const leftText: Readonly<Record<Left, string>> = {
  block: 'Tokens that are not selected idle: they pass the block by unchanged.',
  ffn: 'Tokens that are not selected idle in part: they attend, and pass the MLP by.',
  light: 'Tokens that are not selected attend, and take a light path in place of the MLP; they fade to hatched paper.',
  dead: 'Tokens that are not selected are dead: zero, attended to by none, in this stage and all later ones.',
}

/** The same in a legend. */
export const idleText: Readonly<Record<Left, string>> = {
  block: 'idle: passes by unchanged',
  ffn: 'idle: attends, and passes the MLP by',
  light: 'light path in place of the MLP',
  dead: 'idle',
}

/** Blocks that begin a new map. */
export const mapStarts = ({ maps = [] }: Setting): number[] =>
  maps.flatMap((tokens, l) => (l > 0 && tokens !== maps[l - 1] ? [l] : []))

/** What a method does to tokens, in a few sentences. */
export function explanation({ method, summary, left, classToken, maps }: Setting): string {
  if (maps) {
    const what =
      method === 'dynamicswin' ? `${method}: ${summary}.` : 'Every block computes the tokens that rank first.'
    const again =
      left === 'dead' ? '' : ' A frame marks a token that the block just before, of the same stage, left out.'
    return `${what} ${leftText[left ?? 'block']} Between stages two by two tokens become one, which covers twice the side, and every stage begins anew.${again}`
  }
  if (method === 'idle' || method === 'none') {
    const ranked = classToken
      ? 'Every block computes the tokens that the class token attends to most.'
      : 'Every block computes the tokens that rank first; this model has no class token to rank them, so something else does.'
    return `${ranked} The others idle: they pass by unchanged, and a later block may compute them again. A frame marks the block in which a token comes back: computed here, idle in the block just before.`
  }
  return `${method}: ${summary}. Tokens that are gone fade to hatched paper, as those that idle do.`
}

/** How many tokens each stage keeps, in words. */
export function planOf({ keep, tokens, maps }: Setting): string {
  if (maps) {
    const kept = keep.flatMap((n, l) =>
      n === keep[l - 1] && maps[l] === maps[l - 1] ? [] : [n === maps[l] ? `all ${n}` : `${n} of ${maps[l]}`],
    )
    return keep.every((n, l) => n === maps[l])
      ? 'without idling'
      : `keeping ${kept.join(', ')} tokens from stage to stage`
  }
  const stages = keep.filter((kept, l) => kept !== keep[l - 1])
  return stages.length === 1 && stages[0] === tokens
    ? 'without idling'
    : `keeping ${stages.join(', ')} of ${tokens} tokens from stage to stage`
}

export const percent = (share: number): string => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`
export const twoDigits = (n: number): string => String(n).padStart(2, '0')

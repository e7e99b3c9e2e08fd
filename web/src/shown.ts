/** What the page has in hand: the model, the picture, and the latest answers about them. */

import type { Inspection } from 'idlevit'
import type { Answer, DenseAnswer, ModelInfo, Tokens } from './messages.js'

export interface Shown {
  readonly info?: ModelInfo
  /** What the model sees of the picture: an address, and its side in pixels. */
  readonly picture?: { readonly address: string; readonly side: number }
  readonly dense?: DenseAnswer
  /** Of the idled model, at a keep ratio in hundredths. */
  readonly answer?: Answer & { readonly keep: number }
  readonly tokens?: Tokens
  /** Medians measured while nothing else was going on, at the keep ratio of the answer. */
  readonly times?: { readonly keep: number; readonly idled: number; readonly dense: number; readonly turns: number }
  /** At a keep ratio in hundredths. */
  readonly inspection?: Inspection & { readonly keep: number }
}

/** Blocks before a model is known: those of the embedded one, so that nothing moves when it arrives. */
const EMBEDDED_DEPTH = 8

export const depthOf = ({ info }: Shown): number => info?.depth ?? EMBEDDED_DEPTH

/** The block that is looked at: the last one where the state says more than there are. */
export const blockOf = (block: number, shown: Shown): number => Math.min(block, depthOf(shown) - 1)

/** The class token's attention in a block, as far as it is known by now. */
export function attentionIn(block: number, { tokens, inspection, answer }: Shown): Float32Array | undefined {
  // Blocks that choose nothing come before all that do: what they attend to does not depend on the keep ratio.
  const looked = inspection?.classAttention[block]
  return inspection?.keep === answer?.keep ? (looked ?? tokens?.scores[block]) : (tokens?.scores[block] ?? looked)
}

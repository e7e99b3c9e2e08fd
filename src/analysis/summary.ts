/** The numbers behind the figures: means over pictures, block by block, and what became of the tokens. */

import type { Inspection } from './inspect.js'
import { countStates, idleStatistics, type TokenState } from './tokens.js'

/** Means over the pictures for one block. */
export interface BlockSummary {
  readonly block: number
  /** Image tokens that the block computes. */
  readonly kept: number
  /** Share of the image tokens in each state. */
  readonly shares: Readonly<Record<TokenState, number>>
  /** Mean cosine similarity of image tokens after the block. */
  readonly similarity: { readonly dense: number; readonly idle: number }
}

export interface Summary {
  readonly blocks: readonly BlockSummary[]
  /** Share of the tokens that idle in at least one block. */
  readonly idled: number
  /** Share of the tokens that idle and are computed in a later block. */
  readonly returned: number
  /** Returns from idling in one block to being computed in the next, per picture. */
  readonly returnsPerPicture: number
}

/**
 * Sums up what pictures showed.
 *
 * @param keep - image tokens that every block computes
 */
export function summarise(keep: readonly number[], inspections: readonly Inspection[]): Summary {
  const mean = (value: (inspection: Inspection) => number) =>
    inspections.reduce((sum, inspection) => sum + value(inspection), 0) / inspections.length
  const fate = (key: 'idled' | 'returned') =>
    mean(({ tokens }) => {
      const statistics = idleStatistics(tokens)
      return statistics[key] / statistics.tokens
    })
  return {
    blocks: keep.map((kept, block) => {
      const share = (state: TokenState) =>
        mean(({ tokens }) => {
          const states = tokens[block] ?? []
          return countStates(states)[state] / states.length
        })
      return {
        block,
        kept,
        shares: {
          selected: share('selected'),
          idle: share('idle'),
          returned: share('returned'),
          merged: share('merged'),
          gone: share('gone'),
        },
        similarity: {
          dense: mean(({ similarity }) => similarity.dense[block] as number),
          idle: mean(({ similarity }) => similarity.idle[block] as number),
        },
      }
    }),
    idled: fate('idled'),
    returned: fate('returned'),
    returnsPerPicture: mean(({ tokens }) => idleStatistics(tokens).returns),
  }
}

/**
 * Which tokens a picture's blocks compute, which idle, and which come back: the paper's Figure 2 and its
 * self-correction (IdleViT, arXiv 2310.05654, section 3.2).
 */

/**
 * What a token is in a block: computed, as in the block before (`selected`); idle; or computed although it idled in the
 * block just before (`returned`), which a method that prunes tokens could not do.
 */
export type TokenState = 'selected' | 'idle' | 'returned'

/** The image tokens that one block computes, counted in raster order from 0. */
export interface Selection {
  readonly block: number
  readonly selected: ArrayLike<number>
}

/**
 * State of every image token in every block, `[depth][tokens]`.
 *
 * @param selections - of idle blocks; a block without one computes every token
 */
export function tokenMap(selections: readonly Selection[], depth: number, tokens: number): TokenState[][] {
  const byBlock = new Map(selections.map(({ block, selected }) => [block, new Set(Array.from(selected))]))
  const isIdle = (block: number, token: number) => byBlock.get(block)?.has(token) === false
  return Array.from({ length: depth }, (_, block) =>
    Array.from({ length: tokens }, (_, token): TokenState => {
      if (isIdle(block, token)) return 'idle'
      return isIdle(block - 1, token) ? 'returned' : 'selected'
    }),
  )
}

/** How many tokens are in each state. */
export type StateCounts = Readonly<Record<TokenState, number>>

/** Tokens of one block by their state. */
export function countStates(states: readonly TokenState[]): StateCounts {
  const counts = { selected: 0, idle: 0, returned: 0 }
  for (const state of states) counts[state]++
  return counts
}

/** What became of a picture's tokens, over all blocks. */
export interface IdleStatistics {
  readonly tokens: number
  /** Tokens that idle in at least one block. */
  readonly idled: number
  /** Of those, tokens that a later block computes. */
  readonly returned: number
  /** Steps from idle in one block to computed in the next: a token may take several. */
  readonly returns: number
}

/**
 * Counts tokens that idle and return.
 *
 * @param map - of {@link tokenMap}
 * @param counts - which tokens to look at, such as those of an object; default all
 */
export function idleStatistics(
  map: readonly (readonly TokenState[])[],
  counts: (token: number) => boolean = () => true,
): IdleStatistics {
  const tokens = Array.from(map[0] ?? [], (_, token) => token).filter(counts)
  const having = (state: TokenState) => tokens.filter((token) => map.some((states) => states[token] === state)).length
  const returns = tokens.reduce((sum, token) => sum + map.filter((states) => states[token] === 'returned').length, 0)
  return { tokens: tokens.length, idled: having('idle'), returned: having('returned'), returns }
}

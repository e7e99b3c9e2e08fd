/**
 * Which tokens a picture's blocks compute, which idle, and which come back: the paper's Figure 2 and its
 * self-correction (IdleViT, arXiv 2310.05654, section 3.2).
 */

/**
 * What a token is in a block: computed, as in the block before (`selected`); idle; computed although it idled in the block
 * just before (`returned`), which a method that prunes tokens could not do; in one row with other tokens; or gone.
 */
export type TokenState = 'selected' | 'idle' | 'returned' | 'merged' | 'gone'

/** The image tokens that one block computes, counted in raster order from 0. */
export interface Selection {
  readonly block: number
  readonly selected: ArrayLike<number>
  /** The row that carries every token, -1 where it is gone; absent: each has its own. */
  readonly home?: ArrayLike<number>
}

/**
 * State of every image token in every block of one map, `[depth][tokens]`.
 *
 * @param selections - of blocks that chose; a block without one computes every token that is still there
 */
export function tokenMap(selections: readonly Selection[], depth: number, tokens: number): TokenState[][] {
  const byBlock = new Map(
    selections.map(({ block, selected, home }) => [block, { selected: new Set(Array.from(selected)), home }]),
  )
  const isIdle = (block: number, token: number) => byBlock.get(block)?.selected.has(token) === false
  let home: ArrayLike<number> | undefined
  return Array.from({ length: depth }, (_, block) => {
    home = byBlock.get(block)?.home ?? home
    const shared = sharedRows(home)
    return Array.from({ length: tokens }, (_, token): TokenState => {
      const row = home?.[token] ?? token
      if (row < 0) return 'gone'
      if (isIdle(block, token)) return 'idle'
      if (shared.has(row)) return 'merged'
      return isIdle(block - 1, token) ? 'returned' : 'selected'
    })
  })
}

/** Rows that carry more than one token. */
function sharedRows(home: ArrayLike<number> | undefined): Set<number> {
  const seen = new Set<number>()
  const shared = new Set<number>()
  for (const row of Array.from(home ?? [])) (seen.has(row) ? shared : seen).add(row)
  return shared
}

/** How many tokens are in each state. */
export type StateCounts = Readonly<Record<TokenState, number>>

/** Tokens of one block by their state. */
export function countStates(states: readonly TokenState[]): StateCounts {
  const counts = { selected: 0, idle: 0, returned: 0, merged: 0, gone: 0 }
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

/** Blocks by the map that they have in common: of a pyramid every stage has one, of another number of tokens. */
function byMap(states: readonly (readonly TokenState[])[]): (readonly TokenState[])[][] {
  const maps: (readonly TokenState[])[][] = []
  for (const block of states) {
    const last = maps.at(-1)
    if (last?.[0]?.length === block.length) last.push(block)
    else maps.push([block])
  }
  return maps
}

/**
 * Counts tokens that idle and return; those of a pyramid's stages are tokens of their own.
 *
 * @param states - of {@link tokenMap}
 * @param counts - which tokens to look at, such as those of an object; default all
 */
export function idleStatistics(
  states: readonly (readonly TokenState[])[],
  counts: (token: number) => boolean = () => true,
): IdleStatistics {
  const found = byMap(states).map((map) => ofMap(map, counts))
  const sum = (key: keyof IdleStatistics) => found.reduce((total, each) => total + each[key], 0)
  return { tokens: sum('tokens'), idled: sum('idled'), returned: sum('returned'), returns: sum('returns') }
}

function ofMap(map: readonly (readonly TokenState[])[], counts: (token: number) => boolean): IdleStatistics {
  const tokens = Array.from(map[0] ?? [], (_, token) => token).filter(counts)
  const having = (state: TokenState) => tokens.filter((token) => map.some((states) => states[token] === state)).length
  const returns = tokens.reduce((sum, token) => sum + map.filter((states) => states[token] === 'returned').length, 0)
  return { tokens: tokens.length, idled: having('idle'), returned: having('returned'), returns }
}

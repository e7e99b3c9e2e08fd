/** All blocks at once: one small picture each. A click looks at it. */

import { countStates } from 'idlevit'
import { type Board, createBoard } from './board.js'
import { byId, make, say } from './dom.js'
import { blockOf, depthOf, type Shown } from './shown.js'
import type { Store } from './state.js'

interface Tile {
  readonly button: HTMLButtonElement
  readonly board: Board
  readonly count: HTMLElement
}

export function createBlocks(store: Store): { update(shown: Shown): void } {
  const list = byId('blocks', HTMLElement)
  let tiles: readonly Tile[] = []
  let address: string | undefined
  let shown: Shown = {}

  function build(depth: number): readonly Tile[] {
    const made = Array.from({ length: depth }, (_, block) => {
      const board = createBoard()
      const count = make('span', { class: 'count' }, ' ')
      const button = make(
        'button',
        { type: 'button', class: 'tile' },
        board.svg,
        make('span', {}, `Block ${block}`),
        count,
      )
      button.addEventListener('click', () => store.set({ block }))
      return { button, board, count }
    })
    list.replaceChildren(...made.map(({ button }) => make('li', {}, button)))
    return made
  }

  function draw(): void {
    const current = blockOf(store.get().block, shown)
    for (const [block, { button }] of tiles.entries()) button.setAttribute('aria-pressed', String(block === current))
  }
  store.subscribe(draw)

  tiles = build(depthOf(shown))

  return {
    update(next) {
      shown = next
      const { picture, tokens } = next
      if (depthOf(next) !== tiles.length) {
        tiles = build(depthOf(next))
        address = undefined
      }
      for (const [block, { board, count }] of tiles.entries()) {
        if (picture && picture.address !== address) board.show(picture.address, picture.side)
        const states = tokens?.states[block]
        board.mark(states ?? [])
        if (!states) continue
        const { idle, gone, merged, returned } = countStates(states)
        say(count, `${states.length - idle - gone - merged} computed${returned > 0 ? `\n${returned} back` : ''}`)
      }
      address = picture?.address
      draw()
    },
  }
}

/** The large picture with its patches, the block that is looked at, and the patch that is followed. */

import { countStates, stateSwatch, type TokenState } from 'idlevit'
import { createBoard } from './board.js'
import { byId, make, say } from './dom.js'
import { attentionIn, blockOf, depthOf, type Shown } from './shown.js'
import type { Store } from './state.js'

/** How long a block stays when they are played, in milliseconds. */
const STEP = 650

export const stateNames: Readonly<Record<string, string>> = {
  selected: 'computed',
  idle: 'idle',
  returned: 'back from idling',
  merged: 'in one row with others',
  gone: 'gone',
}

export interface Stage {
  update(shown: Shown): void
  /** Goes through the blocks from the first to the last. */
  play(): void
}

export function createStage(store: Store): Stage {
  const frame = byId('stage', HTMLElement)
  const board = createBoard(byId('stage-svg', SVGSVGElement))
  const slider = byId('block', HTMLInputElement)
  const playButton = byId('play', HTMLButtonElement)
  const attention = byId('attention', HTMLInputElement)
  let shown: Shown = {}
  let hovered: number | undefined
  let playing: ReturnType<typeof setTimeout> | undefined

  for (const state of ['selected', 'idle', 'returned'] as const) {
    const swatch = make('span', { class: 'swatch picture' })
    swatch.innerHTML = stateSwatch(state)
    byId('legend', HTMLElement).append(make('li', {}, swatch, stateNames[state]))
  }

  function stop(): void {
    clearTimeout(playing)
    playing = undefined
    playButton.classList.remove('playing')
    playButton.setAttribute('aria-label', 'Play block by block')
  }

  function play(): void {
    stop()
    playButton.classList.add('playing')
    playButton.setAttribute('aria-label', 'Pause')
    const last = depthOf(shown) - 1
    const step = (block: number) => {
      store.set({ block })
      playing = block < last ? setTimeout(step, STEP, block + 1) : undefined
      if (block >= last) stop()
    }
    const from = blockOf(store.get().block, shown)
    step(from >= last ? 0 : from)
  }

  playButton.addEventListener('click', () => (playing === undefined ? play() : stop()))
  slider.addEventListener('input', () => {
    stop()
    store.set({ block: Number(slider.value) })
  })
  attention.addEventListener('change', () => store.set({ attention: attention.checked }))

  const patchAt = ({ clientX, clientY }: MouseEvent): number | undefined => {
    const grid = shown.info?.grid
    if (grid === undefined) return undefined
    const { left, top, width, height } = frame.getBoundingClientRect()
    const at = (offset: number, size: number) => Math.min(grid - 1, Math.max(0, Math.floor((offset / size) * grid)))
    return at(clientY - top, height) * grid + at(clientX - left, width)
  }
  frame.addEventListener('pointermove', (event) => {
    if (event.pointerType !== 'mouse') return
    hovered = patchAt(event)
    drawPatch()
  })
  frame.addEventListener('pointerleave', () => {
    hovered = undefined
    drawPatch()
  })
  frame.addEventListener('click', (event) => {
    const patch = patchAt(event)
    store.set({ patch: store.get().patch === patch ? undefined : patch })
  })
  frame.addEventListener('keydown', (event) => {
    const grid = shown.info?.grid
    if (grid === undefined) return
    if (event.key === 'Escape') return store.set({ patch: undefined })
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    if (!step) return
    event.preventDefault()
    const { patch = Math.floor(grid / 2) * (grid + 1) } = store.get()
    const [dx = 0, dy = 0] = step
    const within = (value: number) => Math.min(grid - 1, Math.max(0, value))
    store.set({ patch: within(Math.floor(patch / grid) + dy) * grid + within((patch % grid) + dx) })
  })

  function drawPatch(): void {
    const { info, tokens } = shown
    const patch = hovered ?? store.get().patch
    if (!info) return
    const known = patch !== undefined && patch < info.grid ** 2
    board.point(known ? patch : undefined, info.grid)
    const fate = known && tokens ? tokens.states.map((states) => states[patch] as TokenState) : []
    const block = blockOf(store.get().block, shown)
    byId('patch-blocks', HTMLElement).replaceChildren(
      ...Array.from({ length: info.depth }, (_, l) =>
        make('li', { class: `${fate[l] ?? 'unknown'}${l === block ? ' current' : ''}` }, String(l)),
      ),
    )
    if (known && tokens) say(byId('patch-text', HTMLElement), tell(patch, info.grid, fate))
    else say(byId('patch-text', HTMLElement), 'Point at a patch, or press the arrow keys on the picture, to follow it.')
  }

  function draw(): void {
    const { info, tokens, picture } = shown
    const { block: wanted, attention: heated } = store.get()
    attention.checked = heated
    if (picture) board.show(picture.address, picture.side)
    if (!info) return
    const block = blockOf(wanted, shown)
    slider.max = String(info.depth - 1)
    slider.value = String(block)
    say(byId('block-value', HTMLElement), String(block))
    const states = tokens?.states[block]
    board.mark(states ?? [])
    const counts = states && countStates(states)
    const computed = counts ? `${counts.selected + counts.returned} of ${states.length} computed` : ''
    say(byId('block-name', HTMLElement), `block ${block}`)
    slider.setAttribute('aria-valuetext', `${block}${computed && `: ${computed}`}`)
    board.heat(heated ? attentionIn(block, shown) : undefined, info.grid ** 2 + 1)
    drawPatch()
  }

  store.subscribe((state, before) => {
    if (state.block !== before.block || state.attention !== before.attention || state.patch !== before.patch) draw()
  })

  return {
    update(next) {
      shown = next
      draw()
    },
    play,
  }
}

/** `Patch in row 4, column 7: computed in blocks 0–3, idle in 4 and 5, back from idling in 6.` */
export function tell(patch: number, grid: number, fate: readonly TokenState[]): string {
  const place = `Patch in row ${Math.floor(patch / grid) + 1}, column ${(patch % grid) + 1}`
  const runs: { state: TokenState; from: number; to: number }[] = []
  for (const [l, state] of fate.entries()) {
    const last = runs.at(-1)
    if (last?.state === state) last.to = l
    else runs.push({ state, from: l, to: l })
  }
  const parts = runs.map(
    ({ state, from, to }) =>
      `${stateNames[state] ?? state} in ${from === to ? `block ${from}` : `blocks ${from}–${to}`}`,
  )
  return `${place}: ${parts.join(', ')}.`
}

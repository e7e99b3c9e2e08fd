/** The methods side by side on the same picture: what each gave up, and what idling brought back. */

import { idleStatistics, type TokenState } from 'idlevit'
import { createBoard } from '../board.js'
import { make } from '../dom.js'
import { count, percent } from '../format.js'
import type { MethodView } from '../messages.js'
import type { Shown } from '../shown.js'

const titles: Readonly<Record<string, string>> = {
  none: 'Dense',
  idle: 'IdleViT',
  group: 'Grouped idling',
  evit: 'EViT',
  dynamicvit: 'DynamicViT',
  evovit: 'Evo-ViT',
  ats: 'ATS',
  tome: 'ToMe',
  adavit: 'AdaViT',
  spvit: 'SPViT',
}

export const titleOf = (method: string): string => titles[method] ?? method

/** One method's card: its picture in a block, and what it gave up. */
export function methodCard(method: string, view: MethodView | string, { picture }: Shown, block: number): HTMLElement {
  const title = make('h3', {}, titleOf(method))
  if (typeof view === 'string') return make('article', { class: 'card' }, title, make('p', { class: 'hint' }, view))
  const { states, top, macs, varies } = view
  const board = createBoard()
  if (picture) board.show(picture.address, picture.side)
  board.mark(states[block] ?? [])
  const [best] = top
  return make(
    'article',
    { class: 'card' },
    title,
    board.svg,
    make('p', {}, best ? `${best.label}, ${percent(best.score)}` : ''),
    make('p', { class: 'hint' }, `${varies ? 'at most ' : ''}${count(macs)} multiply-adds`),
    make('p', { class: 'hint' }, fate(states)),
  )
}

/** What became of the patches over all blocks, in words. */
export function fate(states: readonly (readonly TokenState[])[]): string {
  const tokens = states[0]?.length ?? 0
  const last = states.at(-1) ?? []
  const inState = (wanted: string) => last.filter((state) => state === wanted).length
  const parts: string[] = []
  const { idled, returned } = idleStatistics(states)
  if (idled > 0) parts.push(`${idled} of ${tokens} patches idled, ${returned} of them came back`)
  if (inState('gone') > 0) parts.push(`${inState('gone')} of ${tokens} patches were thrown away for good`)
  if (inState('merged') > 0) parts.push(`${inState('merged')} of ${tokens} patches share a row with others`)
  return parts.length > 0 ? `${parts.join('; ')}.` : `All ${tokens} patches were computed in every block.`
}

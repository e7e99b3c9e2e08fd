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
  dynamicswin: 'DynamicSwin',
}

export const titleOf = (method: string): string => titles[method] ?? method

/** One method's card: its picture in a block, and what it gave up. */
function methodCard(method: string, view: MethodView, { picture }: Shown, block: number): HTMLElement {
  const title = make('h3', {}, titleOf(method))
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

/** The cards of those that run on this model; behind them why the others do not. */
export function methodCards(
  views: ReadonlyMap<string, MethodView | string>,
  shown: Shown,
  block: number,
): HTMLElement[] {
  const cards: HTMLElement[] = []
  const missing: HTMLElement[] = []
  for (const [method, view] of views) {
    if (typeof view !== 'string') cards.push(methodCard(method, view, shown, block))
    else missing.push(make('li', {}, make('b', {}, titleOf(method)), ` ${view.replace(`${method}: `, '')}.`))
  }
  const list = missing.length > 0 ? [make('ul', { class: 'hint missing' }, missing)] : []
  return [make('div', { class: 'cards' }, cards), ...list]
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

/** The views under the picture: tabs, and the work that the chosen one needs once the slider rests. */

import type { Inspection } from 'idlevit'
import { byId, make } from './dom.js'
import type { MethodView } from './messages.js'
import type { Ask } from './rpc.js'
import { messageOf } from './rpc.js'
import { blockOf, type Shown } from './shown.js'
import { type Store, type View, views } from './state.js'
import { attentionMaps } from './views/attention.js'
import { createBench } from './views/bench.js'
import { methodCards } from './views/methods.js'
import { smoothing } from './views/smoothing.js'

export interface CloserOptions {
  readonly store: Store
  readonly ask: Ask
  /** Looks into the model at the slider's keep ratio; remembers the answer. */
  inspect(): Promise<Inspection>
  shown(): Shown
}

export interface Closer {
  /** Fills the chosen view for the model, picture and keep ratio that there are now. */
  fill(): Promise<void>
  /** What was measured is of another model. */
  reset(): void
}

export function createCloser({ store, ask, inspect, shown }: CloserOptions): Closer {
  const panel = (view: View) => byId(`panel-${view}`, HTMLElement)
  const bench = createBench(panel('bench'), {
    keep: () => store.get().keep,
    about: () => [shown().info?.name, shown().info?.runsOn, navigator.userAgent].filter(Boolean).join('; '),
    run: (row, signal) => ask('bench', [row], { signal }),
  })
  startTabs(store)
  for (const view of ['methods', 'smoothing', 'attention'] as const) panel(view).replaceChildren(waiting())

  let compared: { readonly key: string; readonly views: Map<string, MethodView | string> } | undefined
  const key = () => `${store.get().model} ${shown().picture?.address} ${store.get().keep}`

  function drawMethods(): void {
    const block = blockOf(store.get().block, shown())
    panel('methods').replaceChildren(
      make(
        'p',
        { class: 'hint' },
        `The same picture, weights and keep ratio in every method, seen in block ${block}.${store.get().model === 'demo' ? ' The embedded model was trained to be idled, not for the others.' : ''}`,
      ),
      ...methodCards(compared?.views ?? new Map(), shown(), block),
    )
  }

  async function compare(): Promise<void> {
    const { methods } = shown().info ?? { methods: [] }
    const asked = key()
    if (compared?.key === asked) return drawMethods()
    const found = new Map<string, MethodView | string>()
    if (!compared) panel('methods').replaceChildren(waiting())
    for (const method of methods) {
      found.set(method, await ask('compare', [method, store.get().keep / 100]).catch(messageOf))
      if (key() !== asked) return // somebody moved on
    }
    compared = { key: asked, views: found }
    drawMethods()
  }

  async function look(view: 'smoothing' | 'attention'): Promise<void> {
    const { keep } = store.get()
    const inspection = await inspect()
    if (store.get().keep !== keep) return
    const room = panel(view).clientWidth
    panel(view).replaceChildren(
      ...(view === 'smoothing' ? smoothing(inspection, keep, room) : attentionMaps(inspection)),
    )
  }

  store.subscribe((state, before) => {
    if (state.block !== before.block && state.view === 'methods' && compared) drawMethods()
    if (state.keep !== before.keep) bench.reset()
  })

  return {
    async fill() {
      const { view } = store.get()
      try {
        if (view === 'methods') await compare()
        else if (view !== 'bench') await look(view)
      } catch (error) {
        panel(view).replaceChildren(make('p', { class: 'notice' }, messageOf(error)))
      }
    },
    reset: () => bench.reset(),
  }
}

const waiting = (): HTMLElement => make('p', { class: 'hint waiting' }, 'Working it out …')

/** Tabs as the ARIA practices have them: arrow keys go from one to the next. */
function startTabs(store: Store): void {
  const tabs = views.map((view) => ({ view, tab: byId(`tab-${view}`, HTMLElement) }))
  const choose = (chosen: View) => {
    for (const { view, tab } of tabs) {
      tab.setAttribute('aria-selected', String(view === chosen))
      tab.tabIndex = view === chosen ? 0 : -1
      byId(`panel-${view}`, HTMLElement).hidden = view !== chosen
      // On narrow screens the row of tabs scrolls by itself.
      if (view === chosen && tab.parentElement) tab.parentElement.scrollLeft = tab.offsetLeft - tab.offsetWidth
    }
  }
  for (const [i, { view, tab }] of tabs.entries()) {
    tab.addEventListener('click', () => store.set({ view }))
    tab.addEventListener('keydown', ({ key }) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[key]
      const next = step === undefined ? undefined : tabs[(i + step + tabs.length) % tabs.length]
      if (!next) return
      store.set({ view: next.view })
      next.tab.focus()
    })
  }
  choose(store.get().view)
  store.subscribe(({ view }) => choose(view))
}

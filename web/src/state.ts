/** What the playground shows, as the page's address says it: a link shows what its sender saw. */

export const views = ['methods', 'smoothing', 'attention', 'bench'] as const
export type View = (typeof views)[number]

export interface State {
  /** `demo`, a hub id, the address of a folder, or `own` for files that only this page has. */
  readonly model: string
  /** The number of a generated picture, or `own` for one that only this page has. */
  readonly picture: number | 'own'
  /** Keep ratio, in hundredths so that it is exact. */
  readonly keep: number
  /** The block that is looked at; more than the model has means its last one. */
  readonly block: number
  /** Whether the class token's attention lies over the picture. */
  readonly attention: boolean
  /** The patch that is looked at, in raster order. */
  readonly patch: number | undefined
  readonly view: View
}

/** The range of the slider. */
export const KEEP = { least: 30, most: 100 } as const
/** Stands for the last block before the model's depth is known. */
export const LAST_BLOCK = 99

/** The generated picture to begin with. */
export const FIRST_PICTURE = 25

export const initial: State = {
  model: 'demo',
  picture: FIRST_PICTURE,
  keep: 50,
  block: LAST_BLOCK,
  attention: false,
  patch: undefined,
  view: 'methods',
}

/** The state as the part of an address behind the #, without what is as it is at the start. */
export function toHash(state: State): string {
  const parts = new URLSearchParams()
  if (state.model !== initial.model) parts.set('model', state.model)
  if (state.picture !== initial.picture) parts.set('picture', String(state.picture))
  if (state.keep !== initial.keep) parts.set('keep', (state.keep / 100).toFixed(2))
  if (state.block !== initial.block) parts.set('block', String(state.block))
  if (state.attention) parts.set('attention', '1')
  if (state.patch !== undefined) parts.set('patch', String(state.patch))
  if (state.view !== initial.view) parts.set('view', state.view)
  return parts.toString().replaceAll('%2F', '/')
}

/** The state that an address says. What it does not say, or says so that it cannot be meant, is as at the start. */
export function fromHash(hash: string): State {
  const parts = new URLSearchParams(hash.replace(/^#/, ''))
  const whole = (name: string, most: number) => {
    const text = parts.get(name) ?? ''
    return /^\d{1,10}$/.test(text) && Number(text) <= most ? Number(text) : undefined
  }
  const keep = Math.round(Number(parts.get('keep') ?? Number.NaN) * 100)
  const view = parts.get('view')
  return {
    model: parts.get('model') || initial.model,
    picture: parts.get('picture') === 'own' ? 'own' : (whole('picture', 2 ** 32 - 1) ?? initial.picture),
    keep: keep >= KEEP.least && keep <= KEEP.most ? keep : initial.keep,
    block: whole('block', LAST_BLOCK) ?? initial.block,
    attention: parts.get('attention') === '1',
    patch: whole('patch', 2 ** 20),
    view: views.find((name) => name === view) ?? initial.view,
  }
}

/** A state that tells who listens of its changes. */
export interface Store {
  get(): State
  /** Changes some of it; nobody is told where nothing changes. */
  set(changes: Partial<State>): void
  subscribe(listener: (state: State, before: State) => void): void
}

export function createStore(first: State): Store {
  let state = first
  const listeners: ((state: State, before: State) => void)[] = []
  return {
    get: () => state,
    set(changes) {
      const before = state
      const next = { ...state, ...changes }
      if ((Object.keys(next) as (keyof State)[]).every((key) => next[key] === before[key])) return
      state = next
      for (const listener of listeners) listener(next, before)
    },
    subscribe: (listener) => void listeners.push(listener),
  }
}

/** Five steps for somebody who has never heard of token idling. */

import { byId, say } from './dom.js'
import { LAST_BLOCK, type State, type Store } from './state.js'

interface Step {
  readonly title: string
  readonly text: string
  /** What it is about, framed and brought into view. */
  readonly target: string
  readonly shows: Partial<State>
}

const steps: readonly Step[] = [
  {
    title: 'A picture becomes patches',
    text: 'A vision transformer cuts a picture into square patches and takes all of them through one block after another. Each block compares the patches and works on every one. Here, in the first, all are computed.',
    target: 'stage-section',
    shows: { block: 0, keep: 50, attention: false },
  },
  {
    title: 'Not every patch matters',
    text: 'From the third block on only those that the model attends to most are computed. The hatched ones idle: they wait as they are, at next to no cost. Background goes first.',
    target: 'stage-section',
    shows: { block: 4, keep: 50 },
  },
  {
    title: 'Idle is not gone',
    text: 'Framed patches idled just before and are computed again: the model changed its mind. Methods that throw patches away cannot. Point at a patch to follow it through the blocks.',
    target: 'all-blocks',
    shows: { block: 6, keep: 50 },
  },
  {
    title: 'Less work, the same answer',
    text: 'The keep ratio says how many patches stay from stage to stage. Drag it down: time and multiply-adds fall, and the answer stays what the dense model says for long.',
    target: 'answers',
    shows: { block: LAST_BLOCK, keep: 60 },
  },
  {
    title: 'Now your own',
    text: 'Choose another picture, drop one of yours, or use the camera. Further down: methods side by side, a look inside, and a bench for this device. The address holds what you see: send it on.',
    target: 'pictures',
    shows: {},
  },
]

export function startTour(store: Store): void {
  const box = byId('tour', HTMLElement)
  const opener = byId('open-tour', HTMLElement)
  const title = byId('tour-title', HTMLElement)
  let at = 0

  const unframe = () => document.querySelector('.toured')?.classList.remove('toured')

  function show(next: number): void {
    const step = steps[next]
    if (!step) {
      close()
      return
    }
    at = next
    box.hidden = false
    say(byId('tour-count', HTMLElement), `Step ${at + 1} of ${steps.length}`)
    say(title, step.title)
    say(byId('tour-text', HTMLElement), step.text)
    byId('tour-back', HTMLButtonElement).disabled = at === 0
    say(byId('tour-next', HTMLElement), at === steps.length - 1 ? 'Done' : 'Next')
    unframe()
    const target = byId(step.target, HTMLElement)
    target.classList.add('toured')
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches
    target.scrollIntoView({ block: 'start', behavior: calm ? 'auto' : 'smooth' })
    store.set(step.shows)
    title.focus({ preventScroll: true })
  }

  function close(): void {
    box.hidden = true
    unframe()
    opener.focus()
  }

  opener.addEventListener('click', () => show(0))
  byId('tour-next', HTMLElement).addEventListener('click', () => show(at + 1))
  byId('tour-back', HTMLElement).addEventListener('click', () => show(Math.max(0, at - 1)))
  byId('tour-close', HTMLElement).addEventListener('click', close)
  addEventListener('keydown', ({ key }) => {
    if (key === 'Escape' && !box.hidden) close()
  })
}

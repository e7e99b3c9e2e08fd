/** The playground: what is asked of the engine when something changes, and who shows the answers. */

import type { Inspection, RgbImage } from 'idlevit'
import { createAnswers } from './answers.js'
import { createBlocks } from './blocks.js'
import { createChooser } from './chooser.js'
import { createCloser } from './closer.js'
import { byId, calm, complain, say } from './dom.js'
import { count, megabytes, ratio } from './format.js'
import { latestWins } from './latest.js'
import type { Answer, ModelInfo, Progress, Source } from './messages.js'
import { startPicker } from './picker.js'
import { addressOf, generated } from './pictures.js'
import { type Ask, connect, messageOf } from './rpc.js'
import type { Shown } from './shown.js'
import { createStage } from './stage.js'
import { createStore, FIRST_PICTURE, fromHash, KEEP, LAST_BLOCK, toHash } from './state.js'
import { startTour } from './tour.js'

/** How long the slider must rest before what takes longer is worked out, in milliseconds. */
const REST = 300

const asked = fromHash(location.hash)
const store = createStore({
  ...asked,
  picture: asked.picture === 'own' ? FIRST_PICTURE : asked.picture,
  model: asked.model === 'own' ? 'demo' : asked.model,
})
const demo: Source = { kind: 'demo', address: new URL('models/demo/', document.baseURI).href }

let shown: Shown = {}
let own: RgbImage | undefined
const ask: Ask = start()

const stage = createStage(store)
const blocks = createBlocks(store)
const answers = createAnswers()
const closer = createCloser({
  store,
  ask,
  inspect,
  shown: () => shown,
})
const chooser = createChooser({ demo, load: changeModel, cancel: () => loading?.abort() })

function show(changes: Shown): void {
  shown = { ...shown, ...changes }
  stage.update(shown)
  blocks.update(shown)
  answers.update(shown)
}

// The engine

function start(): Ask {
  const worker = new Worker(new URL('./thread.ts', import.meta.url), { type: 'module' })
  return connect(worker, (reason) => complain(`The computation broke off (${reason}). Reload the page to go on.`))
}

let loading: AbortController | undefined
/** Whether the engine has the picture. */
let isSeen = false

/** Opens a model for the picture that there is. A model that cannot be opened leaves everything as it was. */
async function open(source: Source, tell: (progress: Progress) => void): Promise<ModelInfo> {
  loading?.abort()
  loading = new AbortController()
  const before = isSeen
  isSeen = false // the slider waits for the model
  const info = await ask('load', [source], {
    onEvent: tell as (event: never) => void,
    signal: loading.signal,
  }).catch((error) => {
    isSeen = before
    if (before) askAnswer(store.get().keep)
    throw error
  })
  const { answer, tokens, inspection, times, dense, ...kept } = shown
  shown = { ...kept, info }
  say(byId('model-name', HTMLElement), info.name)
  chooser.describe(
    `${info.name}: ${count(info.params)} weights, ${info.depth} blocks, ${info.grid} × ${info.grid} patches. ${info.warnings.join(' ')}`,
  )
  closer.reset()
  await changePicture()
  return info
}

async function changeModel(source: Source, tell: (progress: Progress) => void): Promise<void> {
  const info = await open(source, tell)
  calm()
  if (info.warnings.length > 0) complain(info.warnings.join(' '))
  const model = source.kind === 'demo' ? 'demo' : source.kind === 'remote' ? source.address : 'own'
  store.set({
    model,
    ...(info.keepRatio !== undefined && { keep: Math.max(KEEP.least, Math.round(info.keepRatio * 100)) }),
  })
}

// The picture

const currentImage = (): RgbImage => {
  const { picture } = store.get()
  if (picture === 'own' && own) return own
  return generated(picture === 'own' ? FIRST_PICTURE : picture).image
}

async function changePicture(): Promise<void> {
  if (!shown.info) return
  const rgb = await ask('picture', [currentImage()])
  const { imageSize } = shown.info
  const { answer, tokens, inspection, times, dense, ...kept } = shown
  shown = kept
  isSeen = true
  const picture = { address: addressOf(rgb, imageSize), side: imageSize }
  show({ picture })
  askAnswer(store.get().keep)
  const answered = await ask('dense', [])
  if (picture === shown.picture) show({ dense: answered })
}

startPicker({
  store,
  onOwn(image) {
    own = image
    calm()
    if (store.get().picture === 'own') changePictures(undefined)
    else store.set({ picture: 'own' })
  },
  onModel: (files) => void chooser.choose({ kind: 'files', files }),
})

// The answer

const failed = (error: unknown): void => complain(messageOf(error))

const changePictures = latestWins<undefined>(changePicture, failed)

const askAnswer = latestWins<number>(async (keep) => {
  const inHand = (answer: Answer) => {
    show({ answer: { ...answer, keep } })
    document.documentElement.dataset.state = 'ready'
  }
  const tokens = await ask('answer', [keep / 100], { onEvent: inHand as (event: never) => void })
  show({ tokens })
  arrived()
  rest()
}, failed)

let resting: ReturnType<typeof setTimeout> | undefined
function rest(): void {
  clearTimeout(resting)
  resting = setTimeout(() => void whenResting().catch(failed), REST)
}

async function whenResting(): Promise<void> {
  const { keep, attention } = store.get()
  const hash = toHash(store.get())
  history.replaceState(null, '', hash ? `#${hash}` : location.pathname + location.search)
  if (!isSeen || shown.answer?.keep !== keep) return
  if (shown.times?.keep !== keep) {
    const times = await ask('time', [keep / 100])
    if (shown.answer?.keep === keep) show({ times: { keep, ...times } })
  }
  if (attention) await inspect()
  await closer.fill()
}

/** Looks into the model at the slider's keep ratio, once. */
async function inspect(): Promise<Inspection> {
  const { keep } = store.get()
  if (shown.inspection?.keep === keep) return shown.inspection
  const { picture } = shown
  const inspection = await ask('inspect', [keep / 100])
  if (picture === shown.picture) show({ inspection: { ...inspection, keep } })
  return inspection
}

// The slider and the address

const slider = byId('keep', HTMLInputElement)
slider.addEventListener('input', () => store.set({ keep: Math.round(Number(slider.value) * 100) }))

function drawSlider(): void {
  const { keep } = store.get()
  slider.value = String(keep / 100)
  say(byId('keep-value', HTMLElement), ratio(keep))
  slider.setAttribute('aria-valuetext', `${keep} percent of the patches stay from stage to stage`)
}

store.subscribe((state, before) => {
  drawSlider()
  if (state.picture !== before.picture) changePictures(undefined)
  else if (state.keep !== before.keep && isSeen) askAnswer(state.keep)
  rest()
})

addEventListener('hashchange', () => {
  const next = fromHash(location.hash)
  const picture = next.picture === 'own' && !own ? FIRST_PICTURE : next.picture
  store.set({ ...next, picture, model: store.get().model })
  if (next.model !== store.get().model && next.model !== 'own') void chooser.choose(sourceOf(next.model))
})

const sourceOf = (model: string): Source => (model === 'demo' ? demo : { kind: 'remote', address: model })

// The start

let hasArrived = false

/** The first answer is there, with what became of the patches. */
function arrived(): void {
  if (hasArrived) return
  hasArrived = true
  keepPage()
  const calmly = matchMedia('(prefers-reduced-motion: reduce)').matches
  if (!calmly && asked.block === LAST_BLOCK) stage.play()
}

/** Without a network from the second visit on. It fetches all that the page is made of: the first answer goes before. */
function keepPage(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return
  navigator.serviceWorker.register(new URL('service-worker.js', document.baseURI)).catch(() => {}) // it works without
}

function tellLoading({ text, loaded, total }: Progress): void {
  say(byId('loading-text', HTMLElement), loaded === undefined ? text : `${text} ${megabytes(loaded)}`)
  if (loaded !== undefined && total) byId('loading-bar', HTMLProgressElement).value = loaded / total
  else byId('loading-bar', HTMLProgressElement).removeAttribute('value')
}

async function begin(): Promise<void> {
  drawSlider()
  startTour(store)
  // The picture is there before the model is.
  const image = currentImage()
  if (image.width === image.height)
    show({ picture: { address: addressOf(image.data, image.width), side: image.width } })
  if (asked.picture === 'own') complain('The link is of a picture that only its sender has; this is another one.')
  if (asked.model === 'own') complain('The link is of a model that only its sender has; this is the embedded one.')
  const { model } = store.get()
  try {
    await open(sourceOf(model), tellLoading)
  } catch (error) {
    if (model === 'demo') throw error
    complain(`${messageOf(error)}. The embedded model is open instead.`)
    store.set({ model: 'demo' })
    await open(demo, tellLoading)
  }
}

void begin().catch((error) => {
  document.documentElement.dataset.state = 'failed'
  say(byId('loading-text', HTMLElement), 'The model could not be opened.')
  complain(`The model could not be opened: ${messageOf(error)}`)
})

/** Ways to a picture: thumbnails, a file, a drop, the clipboard, the camera. */

import type { RgbImage } from 'idlevit'
import { byId, complain, make, prepareDialog } from './dom.js'
import { addressOf, builtIn, generated, pixelsOf, readPicture } from './pictures.js'
import { messageOf } from './rpc.js'
import type { Store } from './state.js'

/** Where pictures go. */
export interface PickerOptions {
  readonly store: Store
  /** A picture that only this page has. */
  onOwn(image: RgbImage, name: string): void
  /** Files that are no pictures but may be a model. */
  onModel(files: readonly File[]): void
}

export function startPicker({ store, onOwn, onModel }: PickerOptions): void {
  drawThumbnails(store)

  async function take(file: Blob, name: string): Promise<void> {
    try {
      onOwn(await readPicture(file, name), name)
    } catch (error) {
      complain(messageOf(error))
    }
  }

  function takeFiles(files: readonly File[]): void {
    const [first] = files
    if (!first) return
    if (files.some(({ name }) => name.endsWith('.safetensors'))) onModel(files)
    else void take(first, first.name)
  }

  const file = byId('picture-file', HTMLInputElement)
  byId('open-picture', HTMLElement).addEventListener('click', () => file.click())
  file.addEventListener('change', () => {
    takeFiles([...(file.files ?? [])])
    file.value = '' // the same file may be chosen again
  })
  byId('draw-another', HTMLElement).addEventListener('click', () =>
    store.set({ picture: Math.floor(Math.random() * 1e6) }),
  )

  addEventListener('dragover', (event) => event.preventDefault())
  addEventListener('drop', (event) => {
    event.preventDefault()
    takeFiles([...(event.dataTransfer?.files ?? [])])
  })
  addEventListener('paste', (event) => takeFiles([...(event.clipboardData?.files ?? [])]))

  startCamera((image) => onOwn(image, 'camera'))
}

/** One after the other between other work, so that the page is there first. */
function drawThumbnails(store: Store): void {
  const list = byId('thumbnails', HTMLElement)
  const buttons = builtIn.map((number, i) => {
    const button = make('button', { type: 'button', class: 'thumbnail', 'aria-label': `Picture ${i + 1}` })
    button.addEventListener('click', () => store.set({ picture: number }))
    list.append(make('li', {}, button))
    return button
  })
  const mark = () => {
    for (const [i, button] of buttons.entries())
      button.setAttribute('aria-pressed', String(builtIn[i] === store.get().picture))
  }
  const draw = (i: number) => {
    const [number, button] = [builtIn[i], buttons[i]]
    if (number === undefined || !button) return
    const { image, label } = generated(number)
    button.setAttribute('aria-label', `Generated picture: ${label}`)
    button.append(make('img', { src: addressOf(image.data, image.width), alt: '', width: 96, height: 96 }))
    setTimeout(draw, 0, i + 1)
  }
  mark()
  store.subscribe(mark)
  requestAnimationFrame(() => setTimeout(draw, 0, 0))
}

function startCamera(onPicture: (image: RgbImage) => void): void {
  const dialog = byId('camera', HTMLDialogElement)
  const video = byId('video', HTMLVideoElement)
  const shoot = byId('shoot', HTMLButtonElement)
  prepareDialog(dialog)

  async function open(): Promise<void> {
    let stream: MediaStream
    try {
      if (!navigator.mediaDevices) throw new DOMException('', 'NotFoundError')
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } })
    } catch (error) {
      return complain(cameraMessage(error))
    }
    shoot.disabled = true
    dialog.showModal()
    dialog.addEventListener('close', () => stop(stream), { once: true })
    video.srcObject = stream
    await video.play().catch(() => {})
    shoot.disabled = false
  }

  function stop(stream: MediaStream): void {
    for (const track of stream.getTracks()) track.stop()
    video.srcObject = null
  }

  byId('open-camera', HTMLElement).addEventListener('click', () => void open())
  shoot.addEventListener('click', () => {
    if (video.videoWidth > 0) onPicture(pixelsOf(video, video.videoWidth, video.videoHeight))
    dialog.close()
  })
}

function cameraMessage(error: unknown): string {
  const name = error instanceof DOMException ? error.name : ''
  if (name === 'NotAllowedError') return 'The camera was denied: allow it in the browser, or open a picture instead.'
  if (name === 'NotFoundError') return 'There is no camera here: open a picture instead.'
  return `The camera cannot be used: ${messageOf(error)}`
}

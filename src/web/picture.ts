/**
 * A browser's pictures as 8-bit RGB, as Node reads the same files: upright, colour profiles and transparency left aside.
 *
 * Browsers convert the colours of a picture with a profile to those of the page, and multiply them by their alpha.
 * `createImageBitmap` does neither when it is asked not to. What is drawn on the page already has been converted.
 */

import { fail } from '../errors.js'
import { MAX_FILE_BYTES, shownUrl } from '../images/fetch.js'
import { otherFormat, pictureFormat } from '../images/format.js'
import { kindOf, type PixelData, rgbOf } from '../images/pixels.js'
import type { RgbImage } from '../images/resample.js'
import { pixelsOf } from './bitmap.js'
import { readBody, refuse, request, statusReason } from './download.js'
import { absolute } from './source.js'

/** What can be drawn: an element, a frame of a video, a bitmap. */
export type Drawable =
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | VideoFrame
  | SVGImageElement

/** A picture: its address, the bytes of its file (`Blob`, `File`, `Uint8Array`), pixels (`ImageData`), or a drawing. */
export type WebPicture = string | URL | Blob | Uint8Array | ArrayBuffer | PixelData | Drawable

/** How pictures are waited for. */
export interface WebReadOptions {
  /** Gives up: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal
}

/** Values as the file stores them. */
const asStored = { colorSpaceConversion: 'none', premultiplyAlpha: 'none', imageOrientation: 'from-image' } as const

/** What messages call a picture. */
export function nameOfWebPicture(picture: WebPicture): string {
  if (typeof picture === 'string' || picture instanceof URL) return shownUrl(absolute(String(picture)))
  const { name, currentSrc } = (picture ?? {}) as { readonly name?: unknown; readonly currentSrc?: unknown }
  const known = [name, currentSrc].find((text) => typeof text === 'string' && text !== '')
  return known === undefined ? 'picture' : String(known).slice(0, 200)
}

/**
 * Pixels of a picture.
 *
 * @param name what errors call it
 * @throws InputError when it is none that this browser reads; the signal's reason when that gives up
 */
export async function readWebImage(
  picture: WebPicture,
  options: WebReadOptions = {},
  name = nameOfWebPicture(picture),
): Promise<RgbImage> {
  options.signal?.throwIfAborted()
  const source = await portable(picture, options, name)
  if (!isBitmap(source)) return rgbOf(source, name)
  try {
    return pixelsOf(source, name)
  } finally {
    source.close()
  }
}

/** A picture as what another thread can be handed: a bitmap of its own, or pixels. */
export async function portable(
  picture: WebPicture,
  options: WebReadOptions = {},
  name = nameOfWebPicture(picture),
): Promise<ImageBitmap | PixelData> {
  if (typeof picture === 'string' || picture instanceof URL)
    return decode(await fetchBlob(absolute(String(picture)), name, options), name, options)
  const kind = kindOf(picture)
  if (kind === 'Uint8Array' || kind === 'ArrayBuffer')
    return decode(new Blob([picture as Uint8Array<ArrayBuffer>]), name, options)
  if (kind === 'Blob' || kind === 'File') return decode(picture as Blob, name, options)
  if (typeof picture === 'object' && picture !== null && 'data' in picture && 'width' in picture) return picture
  if (!drawable.has(kind))
    return fail(`${name}: wanted an address, a Blob, ImageData, an element or a frame that can be drawn, found ${kind}`)
  if (kind === 'HTMLImageElement') await (picture as HTMLImageElement).decode().catch(() => fail(notRead(name)))
  if (kind === 'HTMLVideoElement' && (picture as HTMLVideoElement).readyState < 2)
    fail(`${name}: the video has no frame yet (wait for its event loadeddata)`)
  return bitmapOf(picture as ImageBitmapSource, (error) => fail(`${name}: cannot be drawn (${reasonOf(error)})`))
}

const drawable = new Set(
  ['ImageBitmap', 'HTMLImageElement', 'HTMLCanvasElement', 'OffscreenCanvas', 'HTMLVideoElement', 'VideoFrame'].concat(
    'SVGImageElement',
  ),
)

export const isBitmap = (source: ImageBitmap | PixelData): source is ImageBitmap => 'close' in source

/** Without the name of the function that says it. */
const reasonOf = ({ message }: Error): string => message.replace(/^Failed to execute '\w+' on '\w+': /, '')

const notRead = (name: string): string => `${name}: not a picture that this browser reads`

async function bitmapOf(source: ImageBitmapSource, otherwise: (error: Error) => never): Promise<ImageBitmap> {
  if (typeof createImageBitmap === 'undefined')
    fail('pictures: there is no createImageBitmap here; pixels (width, height, data) can be read')
  try {
    return await createImageBitmap(source, asStored)
  } catch (error) {
    return otherwise(error as Error)
  }
}

async function decode(blob: Blob, name: string, { signal }: WebReadOptions): Promise<ImageBitmap> {
  if (blob.size === 0) fail(`${name}: the file is empty`)
  if (blob.size > MAX_FILE_BYTES)
    fail(`${name}: ${blob.size} bytes, more than the ${MAX_FILE_BYTES} a picture may have`)
  const head = new Uint8Array(
    await blob
      .slice(0, 1024)
      .arrayBuffer()
      .catch((error: Error) => fail(`${name}: cannot be read (${error.message})`)),
  )
  const format = pictureFormat(head)
  const bitmap = await bitmapOf(blob, () => {
    if (format) return fail(`${name}: damaged, or a ${format} that this browser does not read`)
    const other = otherFormat(head)
    return fail(`${notRead(name)}${other ? `, but ${other}` : ''}`)
  })
  signal?.throwIfAborted()
  return bitmap
}

async function fetchBlob(url: URL, name: string, { signal }: WebReadOptions): Promise<Blob> {
  const response = await request(url, { signal })
  if (!response.ok) await refuse(response, `${name}: ${statusReason(response)}`)
  const type = response.headers.get('content-type') ?? ''
  if (/^text\/html/i.test(type))
    await refuse(response, `${name}: the server sent a web page (text/html), not a picture`)
  return new Blob([await readBody(response, name, { signal })], { type })
}

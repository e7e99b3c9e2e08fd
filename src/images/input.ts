/** Everything a picture may be given as, brought down to the bytes of a file or to pixels. */

import { fileURLToPath } from 'node:url'
import { fail } from '../errors.js'
import { fetchPicture, MAX_FILE_BYTES, type ReadOptions, readStream, shownUrl } from './fetch.js'
import { readPictureFile } from './file.js'
import { kindOf, type PixelData, rgbOf } from './pixels.js'
import type { RgbImage } from './resample.js'

/**
 * A picture: a path or URL as text, a `URL` (`http:`, `https:`, `file:`, `data:`, `blob:`), the bytes of a picture file
 * (`Uint8Array`, `Buffer`, `ArrayBuffer`, `Blob`, `File`, or a stream of them such as `process.stdin` or a response's
 * body), or pixels (`ImageData`, {@link PixelData}).
 */
export type PictureInput =
  | string
  | URL
  | Uint8Array
  | ArrayBufferLike
  | Blob
  | AsyncIterable<Uint8Array>
  | ReadableStream<Uint8Array>
  | PixelData

const URL_SCHEMES = ['http:', 'https:', 'file:', 'data:', 'blob:']

/** Whether text is a URL and not a path. `C:\cat.jpg` is a path. */
export const isPictureUrl = (text: string): boolean => /^(data:|blob:|file:|[a-z][a-z0-9+.-]+:\/\/)/i.test(text)

/** What messages call a picture: its path or URL, a file's name, or else its kind. */
export function nameOfPicture(picture: PictureInput): string {
  const url = urlOf(picture)
  if (url) return shownUrl(url)
  if (typeof picture === 'string') return picture
  const name = (picture as { readonly name?: unknown } | null)?.name
  return typeof name === 'string' && name !== '' ? name : 'picture'
}

/**
 * The bytes of a picture file, or pixels where those are given.
 *
 * @throws InputError when there are none, or more than {@link MAX_FILE_BYTES}; the signal's reason when that gives up
 */
export async function readContent(
  picture: PictureInput,
  options: ReadOptions = {},
  name = nameOfPicture(picture),
): Promise<Uint8Array | RgbImage> {
  options.signal?.throwIfAborted()
  const url = urlOf(picture)
  if (url) return url.protocol === 'file:' ? readPictureFile(pathOf(url, name), name) : fetchPicture(url, name, options)
  if (typeof picture === 'string') return readPictureFile(picture, name)
  if (ArrayBuffer.isView(picture) && kindOf(picture) === 'Uint8Array') return bytesOf(picture, name)
  if (kindOf(picture).endsWith('ArrayBuffer')) return bytesOf(new Uint8Array(picture as ArrayBuffer), name)
  if (isBlob(picture)) {
    checkSize(picture.size, name)
    return new Uint8Array(await picture.arrayBuffer())
  }
  if (isStream(picture)) return readStream(picture, name, options)
  if (isPixels(picture)) return rgbOf(picture, name)
  const found = ArrayBuffer.isView(picture) ? `${kindOf(picture)} without width and height` : kindOf(picture)
  return fail(`${name}: wanted a path, a URL, bytes, a Blob, a stream or pixels, found ${found}`)
}

function urlOf(picture: PictureInput): URL | undefined {
  if (picture instanceof URL) return checkScheme(picture)
  if (typeof picture !== 'string' || !isPictureUrl(picture)) return undefined
  try {
    return checkScheme(new URL(picture))
  } catch (error) {
    if (error instanceof TypeError) fail(`${picture.slice(0, 200)}: not a URL`)
    throw error
  }
}

function checkScheme(url: URL): URL {
  if (URL_SCHEMES.includes(url.protocol)) return url
  return fail(`${shownUrl(url)}: wanted a URL of ${URL_SCHEMES.join(', ')} and not ${url.protocol}`)
}

function pathOf(url: URL, name: string): string {
  try {
    return fileURLToPath(url)
  } catch (error) {
    return fail(`${name}: not the URL of a file here (${(error as Error).message})`)
  }
}

function bytesOf(view: ArrayBufferView, name: string): Uint8Array {
  checkSize(view.byteLength, name)
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function checkSize(bytes: number, name: string): void {
  if (bytes > MAX_FILE_BYTES) fail(`${name}: ${bytes} bytes, more than the ${MAX_FILE_BYTES} a picture may have`)
}

/** By what they can do, not by constructor: a Blob may be another library's. */
const isBlob = (picture: unknown): picture is Blob =>
  typeof picture === 'object' && picture !== null && 'arrayBuffer' in picture && 'size' in picture

const isStream = (picture: unknown): picture is AsyncIterable<Uint8Array> =>
  typeof picture === 'object' && picture !== null && Symbol.asyncIterator in picture

const isPixels = (picture: unknown): picture is PixelData =>
  typeof picture === 'object' && picture !== null && ['width', 'height', 'data'].every((part) => part in picture)

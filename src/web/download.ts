/** One file over the network: its bytes with progress, and one plain line for every way in which that fails. */

import { joinBytes } from '../bytes.js'
import { fail, InputError } from '../errors.js'

/** How far a file is. */
export interface WebProgress {
  /** Its name in the model's folder. */
  readonly file: string
  /** Bytes that are there. */
  readonly bytes: number
  /** Bytes of the whole file, when the server says so. */
  readonly total?: number
  /** Whether it comes from this browser's cache. */
  readonly cached: boolean
}

/** What is known of a file beforehand. */
export interface Expected {
  readonly size?: number
  /** In hexadecimal. */
  readonly sha256?: string
}

/** The largest file that is read: what WASM's memory could hold is less. */
const MAX_BYTES = 2 ** 31

/** The network fails: nothing is known about the file. A copy that is there may serve. */
export class NetworkError extends InputError {}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly method?: 'GET' | 'HEAD'
  readonly cache?: RequestCache
}

/**
 * Asks for a URL; whatever status the server answers with is an answer.
 *
 * @throws NetworkError when there is none; the signal's reason when that gives up
 */
export async function request(url: URL, options: RequestOptions = {}): Promise<Response> {
  const { signal, headers = {}, method = 'GET', cache } = options
  try {
    return await fetch(url, { method, headers, ...(signal && { signal }), ...(cache && { cache }) })
  } catch (error) {
    signal?.throwIfAborted()
    throw new NetworkError(`${url.href}: ${await networkReason(url, error)}`)
  }
}

/** `fetch` says the same about all of these, so that pages cannot spy: what can be found out is asked here. */
async function networkReason(url: URL, error: unknown): Promise<string> {
  if (globalThis.navigator?.onLine === false) return 'there is no network'
  const here = globalThis.location as Location | undefined
  if (here?.protocol === 'https:' && url.protocol === 'http:' && !isLocal(url))
    return 'a page from https may not load from http'
  if (here !== undefined && url.origin !== here.origin && /^https?:$/.test(url.protocol)) {
    const there = await fetch(url, { method: 'HEAD', mode: 'no-cors' }).then(
      () => true,
      () => false,
    )
    if (there)
      return `the server does not let this page read it (CORS): it would have to answer with Access-Control-Allow-Origin`
  }
  const why = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `the server cannot be reached, or there is none${why}`
}

const isLocal = ({ hostname }: URL): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)

/**
 * The bytes of an answer.
 *
 * @throws NetworkError when it breaks off; InputError when it is not as long as announced, too long or damaged
 */
export async function readBody(
  response: Response,
  name: string,
  options: {
    readonly expected?: Expected | undefined
    readonly signal?: AbortSignal | undefined
    readonly onBytes?: ((bytes: number, total: number | undefined) => void) | undefined
  } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { expected = {}, signal, onBytes } = options
  const total = expected.size ?? announced(response)
  if (total !== undefined && total > MAX_BYTES)
    return refuse(response, `${name}: ${total} bytes are too many for a browser`)
  const chunks: Uint8Array[] = []
  let bytes = 0
  onBytes?.(0, total)
  try {
    const reader = response.body?.getReader()
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
      bytes += read.value.byteLength
      if (bytes > (total ?? MAX_BYTES)) {
        await reader?.cancel()
        fail(`${name}: wanted ${total ?? `at most ${MAX_BYTES}`} bytes, the server sends more`)
      }
      chunks.push(read.value)
      onBytes?.(bytes, total)
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof InputError) throw error
    throw new NetworkError(`${name}: the connection broke off after ${bytes}${total ? ` of ${total}` : ''} bytes`)
  }
  if (total !== undefined && bytes !== total)
    throw new NetworkError(`${name}: the server sent ${bytes} of ${total} bytes`)
  const whole = joinBytes(chunks)
  const sum = expected.sha256 === undefined ? undefined : await sha256(whole)
  if (sum !== undefined && sum !== expected.sha256)
    fail(`${name}: damaged on the way: its SHA-256 is ${sum.slice(0, 16)}…, wanted ${expected.sha256?.slice(0, 16)}…`)
  return whole
}

/** The length that the server announces; of what it compresses on the way it is not the file's. */
function announced({ headers }: Response): number | undefined {
  const length = headers.get('content-length')
  return length === null || headers.get('content-encoding') !== null ? undefined : Number(length)
}

/** Undefined on pages without https, which browsers give no such function. */
async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
  const digest = await globalThis.crypto?.subtle?.digest('SHA-256', bytes)
  return digest && [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Refuses an answer that is not a file's content. */
export async function refuse(response: Response, message: string): Promise<never> {
  await response.body?.cancel()
  return fail(message)
}

/** What a status means, in words. */
export function statusReason({ status, statusText }: Response): string {
  if (status === 404 || status === 410) return `there is no such file (${status})`
  if (status === 401) return 'the server wants to know who asks (401)'
  if (status === 403) return 'the server refuses access (403)'
  if (status === 429) return 'the server has had too many requests, try again later (429)'
  if (status >= 500) return `the server is in trouble, try again later (${status})`
  return `the server answers with ${status}${statusText && ` ${statusText}`}`
}

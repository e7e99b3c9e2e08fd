/**
 * Files that a browser keeps (Cache API) and asks the server about before they are used again.
 *
 * From its own origin a page asks with If-None-Match and gets a 304. To another server that header would cost a
 * preflight, which many refuse: there the headers of a HEAD are compared.
 */

import { fail } from '../errors.js'
import { type Expected, NetworkError, readBody, refuse, request, statusReason, type WebProgress } from './download.js'

/** How files are fetched. */
export interface FetchOptions {
  readonly cache: Cache | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: WebProgress) => void) | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** Told what the user should hear of. */
  readonly warn: (warning: string) => void
}

/** One file. */
export interface Wanted {
  readonly url: URL
  /** Its name in the model's folder. */
  readonly file: string
  readonly expected?: Expected
  /** What lies there never changes: a copy is used without asking. */
  readonly immutable?: boolean
}

/** The cache of that name; undefined where a page has none (no https), or is not to have one. */
export async function openCache(name: string | false): Promise<Cache | undefined> {
  if (name === false || typeof caches === 'undefined') return undefined
  return caches.open(name).catch(() => undefined) // a page in a sandbox, a browser that forbids it
}

/**
 * The bytes of a file; undefined when the server has none.
 *
 * @throws InputError in one line for every other way in which that fails
 */
export async function fetchFile(wanted: Wanted, options: FetchOptions): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const { url, immutable = false } = wanted
  const { cache } = options
  const held = await cache?.match(url.href)
  if (held && immutable) return read(held, wanted, options, true)
  let response: Response
  try {
    response = await (held ? askAgain(held, url, options) : request(url, { ...options, cache: modeOf(options) }))
    if (response.status >= 500) throw new NetworkError(`${url.href}: ${statusReason(response)}`)
  } catch (error) {
    if (!held || !(error instanceof NetworkError)) throw error
    options.warn(`${error.message}; the copy in this browser's cache is used`)
    return read(held, wanted, options, true)
  }
  if (held && response.status === 304) return read(held, wanted, options, true)
  if (response.status === 404 || response.status === 410) {
    await cache?.delete(url.href)
    await response.body?.cancel()
    return undefined
  }
  if (!response.ok) return refuse(response, `${url.href}: ${statusReason(response)}`)
  const bytes = await read(response, wanted, options, false)
  if (cache) await keep(cache, url, bytes, response, options)
  return bytes
}

/** The same file, when a server must have it. */
export const missing = (url: URL): never => fail(`${url.href}: there is no such file (404)`)

/** What is kept here need not be kept by the browser's own cache, too; without it, that one asks the server. */
const modeOf = ({ cache }: FetchOptions): RequestCache => (cache ? 'no-store' : 'no-cache')

/** The server's answer to whether a copy is still right: a 304, or the new content. */
async function askAgain(held: Response, url: URL, options: FetchOptions): Promise<Response> {
  const [etag, date] = [held.headers.get('etag'), held.headers.get('last-modified')]
  if (url.origin === globalThis.location?.origin) {
    const headers = {
      ...options.headers,
      ...(etag !== null ? { 'If-None-Match': etag } : date !== null && { 'If-Modified-Since': date }),
    }
    return request(url, { ...options, headers, cache: 'no-store' })
  }
  const head = await request(url, { ...options, method: 'HEAD', cache: 'no-store' })
  if (head.ok && isSame(held.headers, head.headers)) return new Response(null, { status: 304 })
  return request(url, { ...options, cache: 'no-store' }) // also where a server answers no HEAD
}

/** Of validators that another server does not let a page read, the date and the length are left. */
function isSame(held: Headers, now: Headers): boolean {
  const both = (name: string) => [held.get(name), now.get(name)] as const
  const [etag, newEtag] = both('etag')
  if (etag !== null && newEtag !== null) return etag === newEtag
  const [date, newDate] = both('last-modified')
  const [length, newLength] = both('content-length')
  return date !== null && date === newDate && length === newLength
}

function read(
  response: Response,
  { file, url, expected }: Wanted,
  { signal, onProgress }: FetchOptions,
  cached: boolean,
): Promise<Uint8Array<ArrayBuffer>> {
  const onBytes = (bytes: number, total: number | undefined) =>
    onProgress?.({ file, bytes, ...(total !== undefined && { total }), cached })
  return readBody(response, url.href, { expected: cached ? undefined : expected, signal, onBytes })
}

/** Keeps a file. That there is no room is told, and no reason to do without the model. */
async function keep(
  cache: Cache,
  url: URL,
  bytes: Uint8Array<ArrayBuffer>,
  { headers: sent }: Response,
  { warn }: FetchOptions,
): Promise<void> {
  const headers = new Headers({ 'content-length': String(bytes.byteLength) })
  for (const name of ['content-type', 'etag', 'last-modified']) {
    const value = sent.get(name)
    if (value !== null) headers.set(name, value)
  }
  try {
    await cache.put(url.href, new Response(bytes, { headers }))
  } catch (error) {
    const full = error instanceof Error && error.name === 'QuotaExceededError'
    const why = full ? "this browser's storage for the page is full" : String(error)
    warn(`${url.href} is not kept for the next visit: ${why}`)
  }
}

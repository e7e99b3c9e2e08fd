/** Picture files from the network and from streams: bytes, bounded in size and in waiting. */

import { joinBytes } from '../bytes.js'
import { fail, InputError } from '../errors.js'

/** The largest picture file that is read, in bytes. */
export const MAX_FILE_BYTES = 2 ** 29

/** How pictures are waited for. */
export interface ReadOptions {
  /** Gives up: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal
  /** How long a server or a stream may stay silent, in milliseconds. Default: a server 30,000, a stream for ever. */
  readonly timeout?: number
}

const SERVER_TIMEOUT = 30_000

/**
 * The bytes behind an `http:`, `https:`, `data:` or `blob:` URL. Redirects are followed.
 *
 * @param name what errors call the picture
 * @throws InputError of one line: an answer other than success, a web page, too many bytes, silence, a broken or refused
 *   connection
 */
export async function fetchPicture(url: URL, name: string, options: ReadOptions = {}): Promise<Uint8Array> {
  const patience = patienceOf(name, { timeout: SERVER_TIMEOUT, ...options })
  let received = 0
  try {
    const response = await fetch(withoutLogin(url), {
      signal: patience.signal,
      headers: { accept: 'image/*,*/*;q=0.5', 'user-agent': 'idlevit', ...loginOf(url) },
    })
    if (!response.ok) {
      await response.body?.cancel()
      fail(`${name}: the server answered ${response.status}${response.statusText && ` ${response.statusText}`}`)
    }
    const type = response.headers.get('content-type') ?? ''
    const announced = Number(response.headers.get('content-length') ?? 0)
    if (/^text\/html/i.test(type) || announced > MAX_FILE_BYTES) {
      await response.body?.cancel()
      if (announced > MAX_FILE_BYTES) refuseSize(name, announced)
      fail(`${name}: the server sent a web page (text/html), not a picture`)
    }
    return await collect(response.body ?? [], name, (count) => {
      received = count
      patience.renew()
    })
  } catch (error) {
    throw patience.reason() ?? networkError(error, name, received)
  } finally {
    patience.end()
  }
}

/**
 * The bytes of a stream: standard input, a request's body.
 *
 * @throws InputError when it holds too many bytes, breaks off or stays silent
 */
export async function readStream(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  options: ReadOptions = {},
): Promise<Uint8Array> {
  const patience = patienceOf(name, options)
  const stopped = new Promise<never>((_, reject) => {
    patience.signal.addEventListener('abort', () => reject(patience.reason()), { once: true })
  })
  try {
    if (patience.signal.aborted) throw patience.reason()
    return await Promise.race([collect(stream, name, patience.renew), stopped])
  } catch (error) {
    if (patience.signal.aborted) (stream as { destroy?(): void }).destroy?.() // a Node stream would keep the process alive
    throw patience.reason() ?? networkError(error, name, 0)
  } finally {
    patience.end()
  }
}

/** All chunks in one piece; memory grows with what has come, never with what was announced. */
async function collect(
  stream: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  name: string,
  onProgress: (received: number) => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let received = 0
  for await (const chunk of stream) {
    if (!ArrayBuffer.isView(chunk)) fail(`${name}: wanted a stream of bytes, found one of ${typeof chunk}`)
    received += chunk.byteLength
    if (received > MAX_FILE_BYTES) refuseSize(name, received)
    chunks.push(chunk)
    onProgress(received)
  }
  return joinBytes(chunks)
}

function refuseSize(name: string, bytes: number): never {
  fail(`${name}: ${bytes} bytes or more, and a picture may have ${MAX_FILE_BYTES}`)
}

/** Ends a wait when the caller says so, or when nothing has come for a while. */
function patienceOf(name: string, { signal: given, timeout }: ReadOptions) {
  const silence = new AbortController()
  const wait = () => (timeout === undefined ? undefined : setTimeout(() => silence.abort(), timeout))
  let timer = wait()
  return {
    signal: given ? AbortSignal.any([given, silence.signal]) : silence.signal,
    renew() {
      clearTimeout(timer)
      timer = wait()
    },
    end: () => clearTimeout(timer),
    /** Why the wait was ended; undefined when it was not. */
    reason(): unknown {
      if (given?.aborted) return given.reason
      if (silence.signal.aborted) return new InputError(`${name}: nothing came for ${(timeout ?? 0) / 1000} s`)
      return undefined
    },
  }
}

const networkReasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the host’s address cannot be looked up (no network?)',
  ECONNREFUSED: 'the host refuses the connection',
  ECONNRESET: 'the connection broke off',
  EPIPE: 'the connection broke off',
  UND_ERR_SOCKET: 'the connection broke off',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the connection broke off',
  ETIMEDOUT: 'the host does not answer',
  ENETUNREACH: 'there is no way to the host (no network?)',
  EHOSTUNREACH: 'there is no way to the host',
  UND_ERR_CONNECT_TIMEOUT: 'the host does not answer',
}

/** What `fetch` says in causes of causes, as one line. */
function networkError(error: unknown, name: string, received: number): unknown {
  if (!(error instanceof Error) || error instanceof InputError) return error
  let cause: Error & { readonly code?: unknown } = error
  while (cause.cause instanceof Error) cause = cause.cause
  const known = networkReasons[String(cause.code)]
  const reason = known ?? (cause.message || String(cause.code ?? cause.name))
  return new InputError(`${name}: ${reason}${received > 0 ? ` after ${received} bytes` : ''}`)
}

/** `fetch` takes no URL with a user's name in it. */
function withoutLogin(url: URL): URL {
  if (url.username === '' && url.password === '') return url
  const plain = new URL(url)
  plain.username = ''
  plain.password = ''
  return plain
}

function loginOf({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {}
  const login = new TextEncoder().encode(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  return { authorization: `Basic ${btoa(String.fromCharCode(...login))}` }
}

/** A URL as messages show it: without passwords, and not all of a `data:` URL. */
export function shownUrl(url: URL): string {
  const text = withoutLogin(url).href
  return url.protocol === 'data:' && text.length > 60 ? `${text.slice(0, 60)}…` : text
}

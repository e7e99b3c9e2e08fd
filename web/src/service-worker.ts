/**
 * Keeps the playground: what it is made of is fetched once, and answers without a network from then on. It also sends
 * the headers of cross-origin isolation, without which a browser has no threads and which many hosts cannot send.
 *
 * A classic script: it imports nothing.
 */

interface Scope {
  readonly caches: CacheStorage
  readonly location: Location
  readonly registration: { readonly scope: string }
  readonly clients: { claim(): Promise<void> }
  skipWaiting(): Promise<void>
  addEventListener(type: string, listener: (event: WorkerEvent) => void): void
}

interface WorkerEvent {
  readonly request: Request
  waitUntil(done: Promise<unknown>): void
  respondWith(response: Promise<Response>): void
}

/** Both are written in when the page is built. */
const files = JSON.parse('PRECACHE') as readonly string[]
const NAME = 'idlevit-playground-VERSION'

const scope = self as unknown as Scope

async function keep(): Promise<void> {
  const cache = await scope.caches.open(NAME)
  // What has its hash in its name never changes: the page fetched it just now.
  const modeOf = (file: string) => (file.startsWith('assets/') ? 'default' : 'no-cache')
  await cache.addAll(files.map((file) => new Request(new URL(file, scope.registration.scope), { cache: modeOf(file) })))
  await scope.skipWaiting()
}

/** Earlier builds of the playground at this place are forgotten. */
async function forget(): Promise<void> {
  for (const name of await scope.caches.keys())
    if (name.startsWith('idlevit-playground-') && name !== NAME) await scope.caches.delete(name)
  await scope.clients.claim()
}

function isolated(response: Response): Response {
  if (response.status === 0 || response.type === 'opaque') return response
  const headers = new Headers(response.headers)
  headers.set('Cross-Origin-Opener-Policy', 'same-origin')
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp')
  headers.set('Cross-Origin-Resource-Policy', 'same-origin')
  const { status, statusText } = response
  return new Response(response.body, { status, statusText, headers })
}

async function answer(request: Request): Promise<Response> {
  const cache = await scope.caches.open(NAME)
  const known = await cache.match(request, { ignoreSearch: request.mode === 'navigate' })
  if (known) return isolated(known)
  const response = await fetch(request)
  // What is fetched on demand, such as the runtime for WebGPU, is there the next time. Names tell versions apart.
  if (response.ok && response.status === 200 && request.url.includes('/assets/'))
    await cache.put(request, response.clone()).catch(() => {}) // no room: it works all the same
  return isolated(response)
}

scope.addEventListener('install', (event) => event.waitUntil(keep()))
scope.addEventListener('activate', (event) => event.waitUntil(forget()))
scope.addEventListener('fetch', (event) => {
  const { request } = event
  if (request.method === 'GET' && request.url.startsWith(scope.registration.scope)) event.respondWith(answer(request))
})

/**
 * A model of the Hugging Face hub, read by a browser: one question lists its files, their lengths and sums and the
 * commit that a branch stands for; what lies under a commit never changes and is kept without asking again.
 *
 * Without a network the list and the files of the last visit serve.
 */

import { fail } from '../errors.js'
import { type HubId, isCommit } from '../weights/hub-id.js'
import { isObject } from '../weights/json.js'
import { type FetchOptions, fetchFile } from './cache.js'
import { type Expected, NetworkError, request, statusReason } from './download.js'
import type { ModelFiles } from './files.js'

/** How to reach the hub. */
export interface HubAccess {
  /** Default `https://huggingface.co`. */
  readonly endpoint?: string | URL
  /** A token, for models that are not open to all. Whoever opens the page can read it. */
  readonly token?: string
}

interface Listing {
  readonly commit: string
  readonly files: ReadonlyMap<string, Expected>
}

/**
 * The files of a hub repository.
 *
 * @throws InputError when there is no such model or revision, it is not open, or the hub cannot be reached
 */
export async function hubFiles(
  { name, revision }: HubId,
  access: HubAccess,
  options: FetchOptions,
): Promise<ModelFiles> {
  const endpoint = String(access.endpoint ?? 'https://huggingface.co').replace(/\/+$/, '')
  if (!/^https?:\/\/[^/]/.test(endpoint)) fail(`endpoint: wanted an http or https address, found ${endpoint}`)
  const headers = access.token === undefined ? {} : { authorization: `Bearer ${access.token}` }
  const withToken = { ...options, headers }
  const api = new URL(`${endpoint}/api/models/${name}/revision/${encodeURIComponent(revision)}?blobs=true`)
  const { commit, files } = parseListing(await askListing(api, { name, revision }, endpoint, withToken), endpoint, name)
  if (isCommit(revision) && commit !== revision) fail(`${endpoint} answers with another commit than ${revision}`)
  const where = `${endpoint}/${name}/resolve/${commit}/`
  return {
    name,
    id: name,
    where,
    has: (file) => files.has(file),
    read: (file) => {
      const expected = files.get(file)
      if (!expected) return Promise.resolve(undefined)
      return fetchFile({ url: new URL(where + file), file, expected, immutable: true }, withToken)
    },
  }
}

async function askListing(api: URL, id: HubId, endpoint: string, options: FetchOptions): Promise<unknown> {
  const { cache, headers = {}, signal, warn } = options
  try {
    const response = await request(api, { headers, signal, cache: 'no-store' })
    if (response.status >= 500) throw new NetworkError(`${endpoint}: ${statusReason(response)}`)
    if (!response.ok) refuseModel(response, id, endpoint, headers.authorization !== undefined)
    const text = await response.text()
    await cache?.put(api.href, new Response(text)).catch(() => {})
    return parsed(text)
  } catch (error) {
    const held = error instanceof NetworkError ? await cache?.match(api.href) : undefined
    if (!held) throw error
    warn(`${(error as NetworkError).message}; ${id.name} is as this browser's cache has it`)
    return parsed(await held.text())
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function refuseModel(response: Response, { name, revision }: HubId, endpoint: string, token: boolean): never {
  if (response.status === 401)
    fail(
      token
        ? `${endpoint} refuses the token for ${name}: it is wrong or expired, or there is no such model (401)`
        : `no model named ${name} on ${endpoint}, or it needs a token (401)`,
    )
  if (response.status === 403) fail(`access to ${name} is restricted: ask for it at ${endpoint}/${name} (403)`)
  if (response.status === 404)
    fail(
      `no model named ${name} on ${endpoint}${revision === 'main' ? '' : `, or no revision ${revision} of it`} (404)`,
    )
  fail(`${endpoint}/${name}: ${statusReason(response)}`)
}

function parseListing(json: unknown, endpoint: string, name: string): Listing {
  if (!isObject(json) || typeof json.sha !== 'string' || !isCommit(json.sha) || !Array.isArray(json.siblings))
    return fail(`${endpoint} does not answer like a hub: no commit for ${name}`)
  const files = new Map<string, Expected>()
  for (const sibling of json.siblings) {
    if (!isObject(sibling) || typeof sibling.rfilename !== 'string') continue
    const { rfilename, size, lfs } = sibling
    const sha256 = isObject(lfs) ? lfs.sha256 : undefined
    files.set(rfilename, {
      ...(typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 && { size }),
      ...(typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) && { sha256 }),
    })
  }
  return { commit: json.sha, files }
}

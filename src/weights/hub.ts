/**
 * Models from the Hugging Face hub, through its own client, in its own cache layout (huggingface.co/docs, "Understand
 * caching"): `models--owner--name/{blobs,refs,snapshots}`, shared with Python's huggingface_hub.
 *
 * The client lists files and transfer.ts brings them; here are the cache, working without a network, and the errors.
 * Honoured: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_HUB_OFFLINE.
 */
import { copyFile, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { getHFHubCachePath, getRepoFolderName, HubApiError, modelInfo, pathsInfo } from '@huggingface/hub'
import { unbroken } from '../ending.js'
import { fail, InputError } from '../errors.js'
import { fileError, writeFileAtomic } from '../files.js'
import { weightFiles } from './config-file.js'
import { readShardIndex } from './files.js'
import { type HubId, isCommit, parseHubId } from './hub-id.js'
import { access, type Hub, type HubOptions, isRefusal, transfer } from './transfer.js'

export type { HubOptions, HubProgress } from './transfer.js'

/**
 * Brings the configuration and weights of a hub repository into the cache and returns the snapshot folder.
 *
 * Offline (HF_HUB_OFFLINE=1), or when the hub cannot be reached, what the cache holds is used.
 *
 * @param spec - `owner/name`, or `owner/name@revision` with a branch, a tag or a commit
 * @throws InputError when there is no such model or revision, it is not open to this token, it holds no weights, or the
 *   network fails.
 */
export async function downloadModel(spec: string, options: HubOptions = {}): Promise<string> {
  const id = parseHubId(spec) ?? fail(`${spec}: wanted a model of the hub, owner/name or owner/name@revision`)
  const storage = join(getHFHubCachePath(), getRepoFolderName({ type: 'model', name: id.name }))
  if (/^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? ''))
    return (
      (await cachedSnapshot(storage, id)) ?? fail(`${spec} is not in the cache (${storage}) and HF_HUB_OFFLINE is set`)
    )
  const hub = hubFromEnvironment()
  let listing: Listing
  try {
    listing = await list(hub, id)
  } catch (error) {
    const cached = isRefusal(error) ? undefined : await cachedSnapshot(storage, id)
    if (cached) return cached
    throw (await isMissingRevision(error, hub, id))
      ? new InputError(`${id.name} on ${hub.url} has no branch, tag or commit ${id.revision}${shortCommit(id)}`)
      : explain(error, hub, id.name)
  }
  try {
    return await fetchSnapshot(hub, id, storage, listing, options)
  } catch (error) {
    throw explain(error, hub, id.name)
  }
}

/** The hub answers a wrong revision as it does a wrong name: whether the model is there, its main branch tells. */
async function isMissingRevision(error: unknown, hub: Hub, { name, revision }: HubId): Promise<boolean> {
  if (!(error instanceof HubApiError) || error.statusCode !== 404 || revision === 'main') return false
  return list(hub, { name, revision: 'main' }).then(
    () => true,
    () => false,
  )
}

const shortCommit = ({ revision }: HubId): string =>
  /^[0-9a-f]{6,39}$/.test(revision) ? ' (a commit is named by all of its 40 digits)' : ''

function hubFromEnvironment(): Hub {
  const url = (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '')
  if (!/^https?:\/\/[^/]/.test(url)) fail(`HF_ENDPOINT should be an http or https address, found ${url}`)
  const token = process.env.HF_TOKEN?.trim() || undefined
  if (token && !token.startsWith('hf_')) fail('HF_TOKEN is not a token of the hub: it should start with hf_')
  return { url, token }
}

/** The commit that a revision stands for, and the files in it. */
interface Listing {
  readonly commit: string
  readonly files: readonly string[]
}

async function list(hub: Hub, { name, revision }: HubId): Promise<Listing> {
  const info = await modelInfo({ ...access(hub), name, revision, additionalFields: ['sha', 'filePaths'] })
  if (!isCommit(info.sha)) fail(`${hub.url} does not answer like a hub: no commit for ${name}`)
  if (isCommit(revision) && info.sha !== revision)
    fail(`${hub.url} does not answer like a hub: commit ${info.sha} of ${name} for ${revision}`)
  return { commit: info.sha, files: info.filePaths }
}

/** The snapshot that the cache last held for a revision, when it holds all weights. */
async function cachedSnapshot(storage: string, { revision }: HubId): Promise<string | undefined> {
  try {
    const commit = isCommit(revision) ? revision : (await readFile(join(storage, 'refs', revision), 'utf8')).trim()
    const snapshot = join(storage, 'snapshots', commit)
    for (const file of weightFiles) if (await holds(snapshot, file)) return snapshot
  } catch {}
  return undefined
}

/** Whether weights lie in a snapshot, with all shards where the file lists them. */
async function holds(snapshot: string, file: string): Promise<boolean> {
  const path = join(snapshot, file)
  if (!(await exists(path))) return false
  const shards = file.endsWith('.index.json') ? [...(await readShardIndex(path)).keys()] : []
  return (await Promise.all(shards.map((shard) => exists(join(snapshot, shard))))).every(Boolean)
}

const exists = async (path: string): Promise<boolean> => {
  try {
    await stat(path) // follows the link: a dangling one does not count
    return true
  } catch {
    return false
  }
}

async function fetchSnapshot(
  hub: Hub,
  { name, revision }: HubId,
  storage: string,
  { commit, files }: Listing,
  options: HubOptions,
): Promise<string> {
  const snapshot = join(storage, 'snapshots', commit)
  const weights = weightFiles.find((file) => files.includes(file))
  if (!weights) return fail(`${name} on ${hub.url} holds no ${weightFiles.join(', ')}`)
  const fetchFiles = (names: readonly string[]) => fetchInto(hub, name, storage, commit, names, options)
  await fetchFiles([...files.filter((file) => /^(preprocessor_)?config\.json$/.test(file)), weights])
  if (weights.endsWith('.index.json')) await fetchFiles([...(await readShardIndex(join(snapshot, weights))).keys()])
  if (isCommit(revision)) return snapshot
  const reference = join(storage, 'refs', revision)
  await mkdir(dirname(reference), { recursive: true })
  await writeFileAtomic(reference, commit)
  return snapshot
}

async function fetchInto(
  hub: Hub,
  id: string,
  storage: string,
  commit: string,
  names: readonly string[],
  options: HubOptions,
): Promise<void> {
  const snapshot = join(storage, 'snapshots', commit)
  const wanted: string[] = []
  for (const name of names) if (!(await exists(join(snapshot, name)))) wanted.push(name)
  if (wanted.length === 0) return
  const infos = await pathsInfo({ ...access(hub), repo: id, paths: wanted, revision: commit })
  await mkdir(join(storage, 'blobs'), { recursive: true })
  await mkdir(snapshot, { recursive: true })
  for (const name of wanted) {
    const info = infos.find(({ path }) => path === name) ?? fail(`${id} on ${hub.url} has no file ${name}`)
    const etag = info.lfs?.oid ?? info.oid ?? ''
    if (!/^[0-9a-f]{40,64}$/.test(etag)) fail(`${hub.url} does not answer like a hub: no etag for ${name}`)
    const blob = join(storage, 'blobs', etag)
    if (!(await exists(blob)))
      await transfer(
        hub,
        { id, commit, path: name, size: info.size, ...(info.lfs ? { sha256: info.lfs.oid } : {}) },
        blob,
        options,
      )
    await link(blob, join(snapshot, name))
  }
}

/** Windows may forbid links: there the snapshot holds a copy, as with the hub's own clients. */
async function link(blob: string, path: string): Promise<void> {
  await rm(path, { force: true })
  try {
    await symlink(relative(dirname(path), blob), path)
  } catch {
    const copy = `${path}.incomplete`
    await unbroken(async () => {
      await copyFile(blob, copy)
      await rename(copy, path)
    })
  }
}

/** What went wrong with the hub, in one line for the user. */
function explain(error: unknown, { url, token }: Hub, id: string): unknown {
  if (error instanceof HubApiError) {
    const { statusCode: status } = error
    if (status === 404) return new InputError(`no model named ${id} on ${url}`)
    if (status === 401)
      return new InputError(
        token
          ? `${url} refuses the token in HF_TOKEN for ${id}: it is wrong or expired, or there is no such model (401)`
          : `no model named ${id} on ${url}, or it needs a token: set HF_TOKEN (401)`,
      )
    if (status === 403)
      return new InputError(`access to ${id} is restricted: ask for it at ${url}/${id}, then set HF_TOKEN (403)`)
    return new InputError(`${url} answers with status ${status} for ${id}: try again later`)
  }
  if (error instanceof Error && 'code' in error && 'syscall' in error && 'path' in error)
    return fileError(error, String(error.path))
  if (error instanceof TypeError || typeof error === 'string' || error instanceof SyntaxError) {
    const cause = error instanceof TypeError && error.cause instanceof Error ? error.cause : undefined
    const why = cause ? ('code' in cause ? String(cause.code) : cause.message) : String(error)
    return new InputError(
      `cannot load ${id} from ${url}: the network fails (${why}); a path to local files works without it`,
    )
  }
  // What the client throws about answers that it does not understand.
  if (error instanceof Error && !(error instanceof InputError) && !(error instanceof RangeError))
    return new InputError(`${url} does not answer like a hub: ${error.message}`)
  return error
}

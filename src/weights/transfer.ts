/**
 * One file from the hub to disk: a broken transfer goes on where it stopped, progress is reported, and what arrived is
 * checked against the hub's SHA-256. The hub's client reads the ranges; resuming is what it lacks.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { downloadFile, HubApiError } from '@huggingface/hub'
import { fail, InputError } from '../errors.js'
import { readAt, withFile } from '../files.js'

/** How far the download of one file is, in bytes. */
export interface HubProgress {
  readonly file: string
  readonly bytes: number
  readonly total: number
}

/** How to download. */
export interface HubOptions {
  readonly onProgress?: (progress: HubProgress) => void
  /** First wait before a broken transfer is resumed, in milliseconds; it doubles each time. */
  readonly retryDelay?: number
}

/** How to reach the hub, from the environment. */
export interface Hub {
  readonly url: string
  readonly token: string | undefined
}

/** The client's parameters for a hub. */
export const access = (hub: Hub) => ({ hubUrl: hub.url, ...(hub.token ? { accessToken: hub.token } : {}) })

/** A file of a hub repository. */
export interface HubFile {
  /** owner/name */
  readonly id: string
  readonly commit: string
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** Known for large files. */
  readonly sha256?: string
}

/** Attempts without a single new byte before a transfer is given up. */
const attempts = 4

/** Brings one file to `blob`, resuming `blob.incomplete` and every transfer that breaks. */
export async function transfer(
  hub: Hub,
  wanted: HubFile,
  blob: string,
  { onProgress, retryDelay = 500 }: HubOptions,
): Promise<void> {
  const { path, size } = wanted
  const incomplete = `${blob}.incomplete`
  const file = await open(incomplete, constants.O_RDWR | constants.O_CREAT)
  try {
    let position = (await file.stat()).size
    if (position > size) position = 0
    await file.truncate(position)
    for (let failures = 0; position < size; ) {
      const from = position
      try {
        await stream(hub, wanted, position, async (chunk) => {
          await writeAt(file, chunk, position)
          position += chunk.byteLength
          onProgress?.({ file: path, bytes: position, total: size })
        })
      } catch (error) {
        failures = position > from ? 1 : failures + 1
        if (isRefusal(error) || error instanceof InputError || failures >= attempts) throw error
        await sleep(retryDelay * 2 ** (failures - 1))
      }
    }
    await file.sync()
  } finally {
    await file.close()
  }
  if (wanted.sha256 && (await sha256(incomplete)) !== wanted.sha256) {
    await rm(incomplete, { force: true })
    fail(`${path} of ${wanted.id} arrived damaged (its SHA-256 is not the hub's): try again`)
  }
  await rename(incomplete, blob)
}

/** Hands over the bytes of a hub file from `position` to its end. */
async function stream(
  hub: Hub,
  { id, commit, path, size }: HubFile,
  position: number,
  take: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  // The client's stream forgets why a request failed: keep it.
  let failure: Error | undefined
  const watched: typeof fetch = async (input, init) => {
    const response = await fetch(input, init).catch((error: Error) => {
      failure = error
      throw error
    })
    if (!response.ok) failure = new HubApiError(response.url, response.status)
    else if (position > 0 && response.status !== 206) failure = new InputError(`${hub.url} cannot resume transfers`)
    return response
  }
  const blob = await downloadFile({
    ...access(hub),
    repo: id,
    path,
    revision: commit,
    fetch: watched,
    xet: false,
    downloadInfo: { size, etag: '', url: `${hub.url}/${id}/resolve/${commit}/${path}` },
  })
  const reader = (blob ?? fail(`${id} has no file ${path}`)).slice(position, size).stream().getReader()
  try {
    let left = size - position
    for (;;) {
      const { done, value } = await reader.read()
      if (failure) throw failure
      if (done) break
      left -= value.byteLength
      if (left < 0) fail(`${hub.url} sends more than the ${size} bytes of ${path}`)
      await take(value)
    }
    if (left > 0) throw new TypeError(`the transfer of ${path} ended early`)
  } catch (error) {
    throw failure ?? error
  } finally {
    await reader.cancel().catch(() => {})
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.byteLength) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done)
    done += bytesWritten
  }
}

const sha256 = (path: string): Promise<string> =>
  withFile(path, async (file, size) => {
    const hash = createHash('sha256')
    const step = 2 ** 22
    for (let position = 0; position < size; position += step) hash.update(await readAt(file, position, step))
    return hash.digest('hex')
  })

/** Whether the hub itself said no: trying again or looking into the cache would hide that. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof InputError || (error instanceof HubApiError && [401, 403, 404].includes(error.statusCode))

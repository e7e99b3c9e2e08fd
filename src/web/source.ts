/** Where a model's files are: behind an address, on the hub, or chosen by whoever uses the page. */

import { fail } from '../errors.js'
import { findPreset, hubOf, presets } from '../models/presets.js'
import { parseHubId } from '../weights/hub-id.js'
import { type FetchOptions, fetchFile } from './cache.js'
import type { ModelFiles } from './files.js'
import { type HubAccess, hubFiles } from './hub.js'

/**
 * A model:
 *
 * - the address of a folder that `idlevit export` or `finetune` wrote, or of a hub repository's copy; an address within
 *   the page's site begins with `/`, `./` or `../`;
 * - the address of one file of it: `….safetensors`, `….onnx`;
 * - a hub id, `owner/name` or `owner/name@revision`, or a preset (`deit-small`);
 * - files that were chosen or dropped (`File`, `FileList`, `File[]`): weights, alone or with what lies beside them.
 */
export type ModelSource = string | URL | Blob | ArrayLike<File>

/**
 * Finds out what a source is.
 *
 * @throws InputError when it is none
 */
export async function openSource(source: ModelSource, hub: HubAccess, options: FetchOptions): Promise<ModelFiles> {
  if (source instanceof URL) return addressed(source, options)
  if (typeof source === 'string') {
    if (isAddress(source)) return addressed(absolute(source), options)
    const id = parseHubId(hubNameOf(source)) ?? fail(unknownSource(source))
    return hubFiles(id, hub, options)
  }
  if (isBlob(source)) return chosen([source], options)
  if (typeof source === 'object' && source !== null && 'length' in source) return chosen(Array.from(source), options)
  return fail(
    `model: wanted an address, a hub id or files, found ${Object.prototype.toString.call(source).slice(8, -1)}`,
  )
}

/** Whether a name is the address of something and not of a model of the hub. */
export const isAddress = (text: string): boolean =>
  /^([a-z][a-z0-9+.-]*:|\/|\.\.?\/|\.\.?$)/i.test(text) ||
  /\.(safetensors|onnx|json)$/i.test(text) ||
  text.endsWith('/')

/** Relative to the page; in a worker, to the worker's script. */
export function absolute(address: string): URL {
  const base = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI
  try {
    return new URL(address, base)
  } catch {
    return fail(`${address}: not an address`)
  }
}

/** A preset by its hub id; a revision stays behind it. */
function hubNameOf(text: string): string {
  const [name = '', ...revision] = text.split('@')
  const preset = findPreset(name)
  return preset ? [hubOf(name, preset), ...revision].join('@') : text
}

const unknownSource = (text: string): string =>
  `unknown model ${text}: neither an address (http://…, /folder/, ./folder/), nor a hub id (owner/name, owner/name@revision), nor one of ${Object.keys(presets).join(', ')}`

function addressed(url: URL, options: FetchOptions): ModelFiles {
  const [, last = ''] = /([^/]*)$/.exec(url.pathname) ?? []
  const single = /\.(safetensors|onnx)$/i.test(last) || /^(blob|data):$/.test(url.protocol)
  const base = new URL(url)
  if (!single && last !== '') base.pathname += '/'
  // The exported folder is one above its ONNX files.
  const folder = single
    ? new URL(/\/onnx\/[^/]*\.onnx$/i.test(url.pathname) ? '..' : '.', isOpaque(url) ? 'about:/' : url)
    : base
  folder.search = url.search // signed addresses
  const at = (file: string) => {
    const found = new URL(file, folder)
    found.search = url.search
    return found
  }
  const weights = /\.onnx$/i.test(last)
    ? `onnx/${decodeURIComponent(last)}`
    : decodeURIComponent(last) || 'model.safetensors'
  return {
    name: decodeURIComponent(folderName(single ? url : folder)),
    where: isOpaque(url) ? '' : `${folder.origin}${folder.pathname}`,
    ...(single && { weights, unsure: last !== 'model.safetensors' }),
    has: (file) => (isOpaque(url) ? file === weights : undefined),
    read: async (file) => {
      if (isOpaque(url) && file !== weights) return undefined
      return fetchFile({ url: single && file === weights ? url : at(file), file }, withoutCache(url, options))
    },
  }
}

const isOpaque = ({ protocol }: URL): boolean => protocol === 'blob:' || protocol === 'data:'

/** What is no request of its own is not kept. */
const withoutCache = (url: URL, options: FetchOptions): FetchOptions =>
  /^https?:$/.test(url.protocol) ? options : { ...options, cache: undefined }

const folderName = ({ pathname, host }: URL): string => pathname.split('/').filter(Boolean).pop() ?? host

/** Files by their name, whatever folders they were in; ONNX files lie in `onnx/`. */
function chosen(files: readonly Blob[], { onProgress, signal }: FetchOptions): ModelFiles {
  const named = new Map(files.map((file) => [nameOfFile(file), file]))
  const weights = [...named.keys()].filter((name) => /\.(safetensors|onnx)$/i.test(name))
  const safetensors = weights.filter((name) => name.endsWith('.safetensors'))
  if (named.size === 0) fail('model: wanted files, found none')
  if (safetensors.length > 1 && !named.has('model.safetensors'))
    fail(`${safetensors.join(', ')}: wanted the files of one model, found the weights of ${safetensors.length}`)
  const [only] = safetensors
  const single = named.size === 1 ? [...named.keys()][0] : named.has('model.safetensors') ? undefined : only
  return {
    name: single ?? folderOfFiles(files) ?? 'model',
    where: '',
    ...(single !== undefined && { weights: single }),
    has: (file) => named.has(file),
    read: async (file) => {
      const found = named.get(file)
      if (!found) return undefined
      signal?.throwIfAborted()
      const bytes = await found
        .arrayBuffer()
        .catch((error: Error) => fail(`${file}: cannot be read (${error.message})`))
      signal?.throwIfAborted()
      onProgress?.({ file, bytes: bytes.byteLength, total: bytes.byteLength, cached: false })
      return new Uint8Array(bytes)
    },
  }
}

function nameOfFile(file: Blob): string {
  const name = 'name' in file && typeof file.name === 'string' && file.name !== '' ? file.name : 'model.safetensors'
  return /\.onnx$/i.test(name) ? `onnx/${name}` : name
}

/** The folder that a picker of folders says. */
function folderOfFiles(files: readonly Blob[]): string | undefined {
  const path = files.map((file) => ('webkitRelativePath' in file ? String(file.webkitRelativePath) : '')).find(Boolean)
  return path?.split('/')[0] || undefined
}

const isBlob = (value: unknown): value is Blob =>
  typeof value === 'object' && value !== null && 'arrayBuffer' in value && 'size' in value

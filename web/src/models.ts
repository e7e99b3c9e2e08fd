/** Models from wherever they are: beside the page, on the hub, or in files that somebody picked. */

import { type BuiltModel, buildModel, imagenetLabels, parseSafetensors, presets } from 'idlevit'
import type { Progress, Source } from './messages.js'

type Tell = (progress: Progress) => void

/** Reads and checks a model. */
export async function readModel(source: Source, tell: Tell): Promise<BuiltModel> {
  if (source.kind === 'files') return built(nameOf(source.files), await fromFiles(source.files))
  const { name, address } = source.kind === 'demo' ? { name: 'demo', address: source.address } : remote(source.name)
  return built(name, await fromAddress(address, name, tell))
}

interface Parts {
  readonly weights: Uint8Array
  readonly config?: unknown
  readonly preprocessor?: unknown
}

function built(name: string, { weights, config, preprocessor }: Parts): BuiltModel {
  const { state } = parseSafetensors(weights, name)
  const model = buildModel(state, { name, config, preprocessor })
  return model.labels || model.config.classes !== imagenetLabels.length ? model : { ...model, labels: imagenetLabels }
}

/** The folder that a preset, a hub id or an address stands for. */
function remote(given: string): { readonly name: string; readonly address: string } {
  const name = presets[given]?.hub ?? given
  if (/^https?:\/\//.test(name)) return { name, address: name.replace(/\/?$/, '/') }
  const [, id, revision = 'main'] = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w./-]+))?$/.exec(name) ?? []
  if (!id) throw new Error(`${given}: wanted owner/name, as on the hub, or the address of a folder`)
  return { name, address: `https://huggingface.co/${id}/resolve/${revision}/` }
}

async function fromAddress(address: string, name: string, tell: Tell): Promise<Parts> {
  const json = async (file: string) => {
    const response = await reach(address + file, name)
    return response.ok ? ((await response.json()) as unknown) : undefined
  }
  const [config, preprocessor] = [
    await json('config.json'),
    await json('preprocessor_config.json').catch(() => undefined),
  ]
  const response = await reach(`${address}model.safetensors`, name)
  if (!response.ok) throw new Error(`${name}: no model.safetensors there (${response.status})`)
  return { weights: await bytesOf(response, name, tell), config, preprocessor }
}

async function reach(address: string, name: string): Promise<Response> {
  try {
    return await fetch(address)
  } catch {
    throw new Error(`${name}: ${new URL(address).host} cannot be reached`)
  }
}

async function bytesOf(response: Response, name: string, tell: Tell): Promise<Uint8Array> {
  const total = Number(response.headers.get('content-length')) || undefined
  const reader = response.body?.getReader()
  if (!reader) return new Uint8Array(await response.arrayBuffer())
  const pieces: Uint8Array[] = []
  let loaded = 0
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    pieces.push(piece.value)
    loaded += piece.value.length
    tell({ text: `Fetching ${name} …`, loaded, ...(total !== undefined && { total }) })
  }
  return new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer())
}

async function fromFiles(files: readonly File[]): Promise<Parts> {
  const find = (name: string) => files.find((file) => file.name === name)
  const weights = find('model.safetensors') ?? files.find(({ name }) => name.endsWith('.safetensors'))
  if (!weights)
    throw new Error(
      `wanted a .safetensors file, found ${files.map(({ name }) => name).join(', ') || 'an empty folder'}`,
    )
  const json = async (name: string) => {
    const file = find(name)
    return file && parseJson(await file.text(), name)
  }
  return {
    weights: new Uint8Array(await weights.arrayBuffer()),
    config: await json('config.json'),
    preprocessor: await json('preprocessor_config.json'),
  }
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`${name}: not valid JSON`)
  }
}

const nameOf = (files: readonly File[]): string =>
  files[0]?.webkitRelativePath.split('/')[0] || files.find(({ name }) => name.endsWith('.safetensors'))?.name || 'model'

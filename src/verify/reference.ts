/**
 * Reference files: a tiny model, an input, and what the official implementation of a method computed from them.
 *
 * A safetensors file; metadata `system` names the method, `config` (JSON) the sizes; tensors `state.*` are the weights
 * under their official names, `expect.*` the results.
 */

import { readFile } from 'node:fs/promises'
import { fail } from '../errors.js'
import type { WeightValues } from '../models/build.js'
import type { VitConfig } from '../models/config.js'
import type { Values } from '../runtime/session.js'
import { toTimmNames } from '../weights/names.js'
import { parseSafetensors } from '../weights/safetensors.js'
import type { StateDict, WeightTensor } from '../weights/state.js'

export interface Reference {
  readonly file: string
  readonly system: string
  readonly config: Readonly<Record<string, unknown>>
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: StateDict
}

/**
 * Reads a reference file.
 *
 * @throws InputError when the file is no safetensors file or does not say which system it belongs to
 */
export async function readReference(file: string): Promise<Reference> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) =>
    fail(`${file}: cannot be read (${error.code ?? error.message})`),
  )
  const { state, metadata } = parseSafetensors(bytes, file)
  const system = metadata.system ?? fail(`${file}: not a reference file, its metadata names no system`)
  return { file, system, config: jsonOf(file, metadata.config ?? '{}'), metadata, tensors: state }
}

function jsonOf(file: string, text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return fail(`${file}: metadata config is not JSON`)
  }
}

/** A tensor of the file, by name. */
export const tensorOf = (reference: Reference, name: string): WeightTensor =>
  reference.tensors.get(name) ?? fail(`${reference.file}: no tensor ${name}`)

/** A tensor of the file as a session's input. */
export function valuesOf(reference: Reference, name: string): Values {
  const { data, shape } = tensorOf(reference, name)
  return { data: data as Values['data'], shape }
}

/** Tensors behind a prefix, `state.` for instance, without it. */
export function tensorsUnder(reference: Reference, prefix: string): WeightValues {
  const found = [...reference.tensors].filter(([name]) => name.startsWith(prefix))
  return new Map(found.map(([name, tensor]) => [name.slice(prefix.length), tensor]))
}

/** The weights of a model behind a prefix, as models here take them: under timm's names, batch norms folded. */
export const weightsUnder = (reference: Reference, prefix: string): StateDict =>
  toTimmNames(tensorsUnder(reference, prefix) as StateDict)

/** Sizes of the DeiT or LV-ViT that a file's `config` describes. */
export function vitConfigOf(reference: Reference): VitConfig {
  const number = (key: string) => {
    const value = reference.config[key]
    return typeof value === 'number' ? value : fail(`${reference.file}: config.${key}: wanted a number, found ${value}`)
  }
  const [stem] = reference.tensors.get('state.patch_embed.conv1.weight')?.shape ?? []
  return {
    imageSize: number('img_size'),
    patchSize: number('patch_size'),
    width: number('embed_dim'),
    depth: number('depth'),
    heads: number('num_heads'),
    hidden: Math.round(number('embed_dim') * number('mlp_ratio')),
    classes: number('num_classes'),
    distilled: reference.tensors.has('state.dist_token'),
    layerNormEps: number('ln_eps'),
    ...(reference.tensors.has('state.norm_cls.weight') && { pool: 'mean', classHead: true }),
    ...(stem !== undefined && { stem, qkvBias: 'none', branchScale: 1 / number('skip_lam'), auxHead: true }),
  }
}

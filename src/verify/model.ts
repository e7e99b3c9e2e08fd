/** A reference file's model under a method, and what is compared of it. */

import { fail } from '../errors.js'
import { output, type Tensor } from '../graph/graph.js'
import type { BuildOptions, WeightValues } from '../models/build.js'
import type { VitConfig } from '../models/config.js'
import { prepare } from '../models/prepare.js'
import type { BlockRecord, VitOutput } from '../models/vit.js'
import type { ReductionRequest } from '../reduction/registry.js'
import { createSession } from '../runtime/node.js'
import type { Values } from '../runtime/session.js'
import { toTimmNames } from '../weights/names.js'
import type { StateDict } from '../weights/state.js'
import type { Actual } from './compare.js'
import { type Reference, tensorsUnder, valuesOf } from './reference.js'

/** Tensors of a model that are compared, by their name in the file. */
export type Named = (model: VitOutput) => Readonly<Record<string, Tensor>>

export interface RunOptions {
  /** Default: the file's `state.*`. */
  readonly state?: WeightValues
  /** Pictures; default: the file's. */
  readonly input?: Values
  readonly build?: Pick<BuildOptions, 'form' | 'official' | 'givenPolicy' | 'sharp' | 'packages'>
  /** Other inputs of the graph. */
  readonly feeds?: Readonly<Record<string, Values>>
}

/** Runs a model under a method, every row of every block computed, and gives what `named` picks. */
export async function run(
  reference: Reference,
  config: VitConfig,
  request: ReductionRequest,
  named: Named,
  options: RunOptions = {},
): Promise<Map<string, Values>> {
  const { input = valuesOf(reference, 'input'), state = tensorsUnder(reference, 'state.'), build, feeds } = options
  const weighted = { config, state: toTimmNames(state as StateDict) }
  const { graph, model } = prepare(weighted, request, { ...build, features: true }).forward()
  graph.outputs.clear()
  for (const [name, tensor] of Object.entries(named(model))) output(name, tensor)
  const session = await createSession(graph)
  try {
    return new Map(Object.entries(await session.run({ pixel_values: input, ...feeds })))
  } finally {
    await session.close()
  }
}

/** A field of the file's config. */
export function field<T>(reference: Reference, name: string): T {
  const value = reference.config[name]
  return value === undefined ? fail(`${reference.file}: config.${name} is missing`) : (value as T)
}

export const blockOf = ({ blocks }: VitOutput, l: number): BlockRecord =>
  blocks[l] ?? fail(`block ${l}: the model has ${blocks.length}`)

/** Integers of every picture, ascending: `[B, K]`. */
export function sorted({ data, shape }: Values): Actual {
  const [batch = 1, count = 0] = shape
  const rows = Array.from({ length: batch }, (_, b) =>
    Array.from(data.subarray(b * count, (b + 1) * count) as ArrayLike<number | bigint>, Number).sort((i, j) => i - j),
  )
  return { data: rows.flat(), shape }
}

export const need = (values: ReadonlyMap<string, Values>, name: string): Values =>
  values.get(name) ?? fail(`no ${name}`)

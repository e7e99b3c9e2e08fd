/**
 * What an earlier export left in a folder, and whether another one may join it: one folder is one model.
 *
 * An export signs `config.json`, in its `idlevit.export` field, with a hash of the weights, the method, and the ONNX
 * files that it wrote.
 */

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fail } from '../errors.js'
import { readWholeFile } from '../files.js'
import { namesIn } from '../folders.js'
import type { StateDict } from '../weights/state.js'

/** An export's signature. */
export interface ExportMark {
  /** {@link hashWeights} of the model. */
  readonly weights: string
  readonly method: string
  /** Names under `onnx/`. */
  readonly files: readonly string[]
}

/** SHA-256 over names, shapes and values. */
export function hashWeights(state: StateDict): string {
  const hash = createHash('sha256')
  for (const name of [...state.keys()].sort()) {
    const { shape, data } = state.get(name) ?? fail(`no weight ${name}`)
    hash.update(`${name} ${shape.join()}\n`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  return hash.digest('hex')
}

/**
 * The ONNX files of an earlier export of the same model that lie in `out`; none where there is nothing yet.
 *
 * @param json - the configuration that the new export would write, without its signature
 * @throws InputError when `out` holds something that no export wrote, or another model, plan or preprocessing
 */
export async function earlierExport(
  out: string,
  json: Readonly<Record<string, unknown>>,
  mark: ExportMark,
): Promise<readonly string[]> {
  const names = await namesIn(out)
  if (names.length === 0) return []
  const config = names.includes('config.json') ? await readConfig(join(out, 'config.json')) : undefined
  const { export: signed, ...own } = (config?.idlevit ?? {}) as Record<string, unknown>
  if (!config || !isMark(signed))
    return fail(`${out}: wanted a new or empty folder, or an earlier export, found a folder with other files`)
  const files = await namesIn(join(out, 'onnx'))
  const strange = files.find((name) => !signed.files.includes(name))
  if (strange !== undefined)
    fail(`${out}: wanted a new or empty folder, or an earlier export, found onnx/${strange}, which no export wrote`)
  const other = difference({ config, own, mark: signed }, { config: json, own: json.idlevit as typeof own, mark })
  if (other !== undefined)
    fail(`${out}: holds an export ${other}: the folder would mix two models; remove it, or choose another --out`)
  return files
}

async function readConfig(path: string): Promise<Record<string, unknown> | undefined> {
  const text = new TextDecoder().decode(await readWholeFile(path, 2 ** 26))
  try {
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isMark(value: unknown): value is ExportMark {
  if (typeof value !== 'object' || value === null) return false
  const { weights, method, files } = value as Record<string, unknown>
  const isText = (each: unknown): each is string => typeof each === 'string'
  return isText(weights) && isText(method) && Array.isArray(files) && files.every(isText)
}

/** What an export is made from. */
interface Made {
  /** Of config.json. */
  readonly config: Readonly<Record<string, unknown>>
  readonly own: Readonly<Record<string, unknown>>
  readonly mark: ExportMark
}

/** In what an earlier export differs from a new one, in words; undefined where it does not. */
function difference(earlier: Made, next: Made): string | undefined {
  const { id2label: names, ...sizes } = architecture(earlier.config)
  const { id2label: newNames, ...newSizes } = architecture(next.config)
  if (earlier.mark.weights !== next.mark.weights || !same(sizes, newSizes)) return 'of another model'
  if (!same(names, newNames)) return 'with other class names'
  const plans = [earlier, next].map(({ own: { keepTokens, score }, mark: { method } }) => ({
    method,
    keepTokens,
    score,
  }))
  if (!same(plans[0], plans[1])) return `with another plan (${describe(plans[0])}; now ${describe(plans[1])})`
  if (!same(earlier.own.preprocess, next.own.preprocess))
    return `with other preprocessing (${describe(earlier.own.preprocess)}; now ${describe(next.own.preprocess)})`
  return undefined
}

function architecture(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { idlevit: _, 'transformers.js_config': __, label2id: ___, ...rest } = config
  return rest
}

/** The same once written to a file. */
const same = (a: unknown, b: unknown): boolean => describe(a) === describe(b)

const describe = (value: unknown): string =>
  JSON.stringify(value, (_, each) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  )

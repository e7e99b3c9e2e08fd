/**
 * From a model's files to a model: of weights, or of an exported ONNX file.
 *
 * Weights (`model.safetensors`) can be built in every way and are taken where they are. An exported ONNX file is taken
 * where there are no weights, where it is asked for, and where it is what was asked for at a fraction of the bytes: in
 * `int8` or `fp16`.
 */

import { fail, InputError } from '../errors.js'
import type { Precision } from '../graph/passes/precision.js'
import { type BuildModelOptions, type BuiltModel, buildModel } from '../weights/build.js'
import { isObject, type JsonObject } from '../weights/json.js'
import { parseSafetensors } from '../weights/safetensors.js'
import { isPickle, isZip } from '../weights/torch-format.js'
import type { ModelFiles } from './files.js'

/** Which of a folder's files is taken. */
export type ModelFormat = 'auto' | 'safetensors' | 'onnx'

/** How a model is made of its files: what they leave open, or say wrongly. */
export interface ReadModelOptions extends Pick<BuildModelOptions, 'heads' | 'imageSize' | 'preprocess'> {
  /** Default `auto`: weights, unless an ONNX file of the asked `precision` was exported and answers all that is asked. */
  readonly format?: ModelFormat
}

/** What `idlevit export` says of its ONNX files. */
export interface ExportedFiles {
  /** `idle`, `none`, …, or `elastic`. */
  readonly method: string
  /** Names under `onnx/`. */
  readonly files: readonly string[]
}

/** The files beside weights. */
export interface SideFiles {
  readonly config: JsonObject | undefined
  readonly preprocessor: unknown
  readonly exported: ExportedFiles | undefined
}

/** Names by precision, as transformers.js knows them. */
export const onnxNames: Readonly<Record<Precision, string>> = {
  fp32: 'model.onnx',
  fp16: 'model_fp16.onnx',
  int8: 'model_quantized.onnx',
}

const WEIGHTS = 'model.safetensors'

/** The configuration and the preprocessing beside weights, as far as they are there and needed. */
export async function readSideFiles(files: ModelFiles): Promise<SideFiles> {
  const config = await readJson(files, 'config.json')
  const own = isObject(config?.idlevit) ? config.idlevit : {}
  // A folder of ours says in config.json how pictures are made.
  const said = own.preprocess !== undefined || isObject(config?.pretrained_cfg)
  const preprocessor = said ? undefined : await readJson(files, 'preprocessor_config.json')
  return { config, preprocessor, exported: readMark(own.export) }
}

function readMark(mark: unknown): ExportedFiles | undefined {
  if (!isObject(mark) || typeof mark.method !== 'string' || !Array.isArray(mark.files)) return undefined
  return { method: mark.method, files: mark.files.filter((name): name is string => typeof name === 'string') }
}

/** A JSON file; undefined when there is none. Many servers answer with their start page for a file that they lack. */
async function readJson(files: ModelFiles, file: string): Promise<JsonObject | undefined> {
  if (files.has(file) === false) return undefined
  const bytes = await files.read(file)
  if (!bytes) return undefined
  const text = new TextDecoder().decode(bytes)
  if (/^\s*</.test(text)) return undefined
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : fail(`${files.where}${file}: not a JSON object`)
  } catch (error) {
    if (error instanceof InputError) throw error
    return fail(`${files.where}${file}: not valid JSON`)
  }
}

/**
 * A model of its weights.
 *
 * @throws InputError when there are none, or they are no vision transformer's
 */
export async function readWeights(
  files: ModelFiles,
  beside: SideFiles,
  options: ReadModelOptions = {},
): Promise<BuiltModel | undefined> {
  const file = files.weights ?? WEIGHTS
  const bytes = files.has(file) === false ? undefined : await files.read(file)
  if (!bytes) return undefined
  const { heads, imageSize, preprocess } = options
  const { state } = parseWeights(bytes, `${files.where}${file}`)
  return buildModel(state, {
    name: files.name,
    folder: files.where,
    ...(files.id !== undefined && { id: files.id }),
    ...(beside.config !== undefined && { config: beside.config }),
    ...(beside.preprocessor !== undefined && { preprocessor: beside.preprocessor }),
    ...(files.unsure && { unsure: true }),
    ...(heads !== undefined && { heads }),
    ...(imageSize !== undefined && { imageSize }),
    ...(preprocess && { preprocess }),
  })
}

/** What is no model is called by what it is. */
function parseWeights(bytes: Uint8Array, name: string): ReturnType<typeof parseSafetensors> {
  if (bytes.byteLength === 0) fail(`${name}: the file is empty`)
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 64))
  if (isZip(bytes) || isPickle(bytes))
    fail(
      `${name}: a torch checkpoint, which only Node reads: idlevit export --model FILE --out FOLDER writes what a page can load`,
    )
  if (head.startsWith('version https://git-lfs')) fail(`${name}: a Git LFS pointer, not the weights themselves`)
  if (/^\s*<(!doctype|html|\?xml)/i.test(head)) fail(`${name}: a web page, not a model: the server has no such file`)
  if (head[8] !== '{') fail(`${name}: not a model: wanted a safetensors file`)
  return parseSafetensors(bytes, name)
}

/** What a folder without a model should have held. */
export function noModel(files: ModelFiles): never {
  const torch = files.has('pytorch_model.bin') || files.has('model.safetensors.index.json')
  const place = files.where === '' ? 'the files' : files.where
  if (files.weights !== undefined) fail(`${files.where}${files.weights}: there is no such file (404)`)
  if (torch)
    fail(
      `${place}: weights in torch's format or in several files, which only Node reads: idlevit export writes what a page can load`,
    )
  fail(`${place} hold no model: wanted ${WEIGHTS} or onnx/${onnxNames.fp32}`.replace(/(https?:\S+) hold/, '$1 holds'))
}

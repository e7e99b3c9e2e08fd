/**
 * A model as a folder that transformers.js loads as is: Hugging Face's layout, ONNX files under `onnx/`.
 *
 * File names and fields: huggingface.co/docs/transformers.js, "Custom usage" and "Dtypes".
 */

import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fail } from '../errors.js'
import { fileError, writeFileAtomic } from '../files.js'
import { encodeOnnx } from '../graph/onnx.js'
import { lower, type Precision } from '../graph/passes/precision.js'
import { type Preprocess, preprocessOf } from '../images/preprocess.js'
import { type BuildOptions, buildGraph, type Method } from '../models/build.js'
import { imageTokens } from '../models/config.js'
import { modelCost } from '../models/cost.js'
import type { Score } from '../reduction/idle.js'
import { type KeepRequest, planKeep } from '../reduction/schedule.js'
import { modelConfigJson } from '../weights/config-file.js'
import { saveSafetensors } from '../weights/files.js'
import type { LoadedModel } from '../weights/load.js'
import { preprocessorConfigJson } from './preprocessor.js'

export interface ExportOptions extends KeepRequest {
  readonly method?: Method
  readonly score?: Score
  /** One ONNX file each; default fp32 alone. */
  readonly precisions?: readonly Precision[]
  /** Standard ONNX operators only, for any runtime. Default: ONNX Runtime's own too, which are faster there. */
  readonly portable?: boolean
  /** Also output `features`, the token features in raster order behind the class token. */
  readonly features?: boolean
  /** Take the tokens to keep in every block from an input `keep_tokens`. transformers.js does not feed it. */
  readonly elastic?: boolean
  /** Write `model.safetensors` too, so that the folder can be loaded and finetuned here. Default true. */
  readonly weights?: boolean
  /** Default: as the model was trained, else ImageNet's way. */
  readonly preprocess?: Preprocess
}

export interface ExportReport {
  readonly out: string
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
  /** 10⁹ multiply-adds for one picture. */
  readonly gmacs: number
}

/** Names that transformers.js looks for, by its `dtype`. */
const onnxFiles: Record<Precision, { readonly file: string; readonly dtype: string }> = {
  fp32: { file: 'model.onnx', dtype: 'fp32' },
  fp16: { file: 'model_fp16.onnx', dtype: 'fp16' },
  int8: { file: 'model_quantized.onnx', dtype: 'q8' },
}

/**
 * Writes the folder `out`: all of it, or nothing.
 *
 * @throws InputError when keep ratios are out of range, or `out` holds something that is no exported model
 */
export async function exportModel(model: LoadedModel, out: string, options: ExportOptions = {}): Promise<ExportReport> {
  const { config } = model
  const { method = 'idle', score = 'softmax', features = false, elastic = false, portable = false } = options
  const { precisions = ['fp32'], preprocess = preprocessOf(model), weights = true } = options
  const { keep } = planKeep(options, config.depth, imageTokens(config))
  const plan: BuildOptions = { keep, method, score, features }
  const gmacs = modelCost(config, plan).macs / 1e9
  const idle = method === 'idle' && !elastic ? { keepTokens: keep, score } : undefined
  const metadata = {
    model: model.name,
    method: elastic ? 'elastic' : method,
    ...(idle && { keepTokens: keep.join(), score }),
    gmacs: gmacs.toFixed(3),
  }
  const [only] = precisions.includes('fp32') ? [] : precisions
  const configJson = {
    ...modelConfigJson({ config, preprocess, ...(model.labels && { labels: model.labels }), ...(idle && { idle }) }),
    ...(only && { 'transformers.js_config': { dtype: onnxFiles[only].dtype } }), // the file that there is
  }
  const files = await replaceFolder(out, async (folder) => {
    await writeFileAtomic(join(folder, 'config.json'), `${JSON.stringify(configJson, null, 2)}\n`)
    const pictures = preprocessorConfigJson(preprocess)
    await writeFileAtomic(join(folder, 'preprocessor_config.json'), `${JSON.stringify(pictures, null, 2)}\n`)
    await mkdir(join(folder, 'onnx'))
    for (const precision of precisions) {
      const target = { precision, contrib: !portable }
      const graph = lower(buildGraph(config, model.state, { ...plan, elastic }), target)
      const { bytes } = encodeOnnx(graph, { contrib: !portable, metadata: { ...metadata, precision } })
      await writeFileAtomic(join(folder, 'onnx', onnxFiles[precision].file), bytes)
    }
    if (weights) await saveSafetensors(join(folder, 'model.safetensors'), model.state, { format: 'pt' })
  })
  return { out, files, gmacs }
}

/** Fills a new folder beside `out` and puts it in the place of what was there. */
async function replaceFolder(out: string, fill: (folder: string) => Promise<void>): Promise<ExportReport['files']> {
  const old = await previousExport(out)
  const beside = (kind: string) => join(dirname(out), `.${basename(out)}.${randomBytes(6).toString('hex')}.${kind}`)
  const fresh = beside('tmp')
  try {
    await mkdir(dirname(out), { recursive: true })
    await mkdir(fresh)
    await fill(fresh)
    if (old) {
      const aside = beside('old')
      await rename(out, aside)
      await rename(fresh, out)
      await rm(aside, { recursive: true })
    } else await rename(fresh, out)
    return await listFiles(out)
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    throw fileError(error, out)
  }
}

/** Whether `out` is there; refuses to replace what is no model folder of ours. */
async function previousExport(out: string): Promise<boolean> {
  const entries = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    return fail(error.code === 'ENOTDIR' ? `${out}: wanted a folder, found a file` : `${out}: ${error.message}`)
  })
  if (!entries || entries.length === 0) return entries !== undefined
  const config = await readFile(join(out, 'config.json'), 'utf8').catch(() => '')
  const known = /^(config\.json|preprocessor_config\.json|onnx|model\.safetensors)$/
  if (!config.includes('"idlevit"') || !entries.every((name) => known.test(name)))
    fail(`${out}: wanted a new or empty folder, or an earlier export, found a folder with other files`)
  return true
}

async function listFiles(folder: string, under = ''): Promise<{ path: string; bytes: number }[]> {
  const entries = await readdir(join(folder, under), { withFileTypes: true })
  const lists = entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(async (entry) => {
      const path = join(under, entry.name)
      if (entry.isDirectory()) return listFiles(folder, path)
      return [{ path, bytes: (await stat(join(folder, path))).size }]
    })
  return (await Promise.all(lists)).flat()
}

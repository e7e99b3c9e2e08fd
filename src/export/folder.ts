/**
 * A model as a folder that transformers.js loads as is: Hugging Face's layout, ONNX files under `onnx/`.
 *
 * Another precision of the same model joins the files that are there; nothing else ever mixes with them (earlier.ts).
 *
 * File names and fields: huggingface.co/docs/transformers.js, "Custom usage" and "Dtypes".
 */

import { existsSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../files.js'
import { fillFolder } from '../folders.js'
import { encodeOnnx } from '../graph/onnx.js'
import type { Precision } from '../graph/passes/precision.js'
import { type Preprocess, preprocessOf } from '../images/preprocess.js'
import { prepare } from '../models/prepare.js'
import { type ReductionRequest, storedChoice, storedPlan } from '../reduction/registry.js'
import { modelConfigJson } from '../weights/config-file.js'
import { saveSafetensors } from '../weights/files.js'
import type { LoadedModel } from '../weights/load.js'
import { type ExportMark, earlierExport, hashWeights } from './earlier.js'
import { keepsAspect, preprocessorConfigJson } from './preprocessor.js'

export interface ExportOptions extends ReductionRequest {
  /** One ONNX file each; default fp32 alone. */
  readonly precisions?: readonly Precision[]
  /** Standard ONNX operators only, for any runtime. Default: ONNX Runtime's own too, which are faster there. */
  readonly portable?: boolean
  /** Also output `features`, the token features in raster order behind the class token. */
  readonly features?: boolean
  /** Take the tokens to keep in every block from an input `keep_tokens`. transformers.js does not feed it. */
  readonly elastic?: boolean
  /**
   * Write `model.safetensors` too, so that the folder can be loaded and finetuned here; one that is there stays in any
   * case. Default true.
   */
  readonly weights?: boolean
  /** Default: as the model was trained, else ImageNet's way. */
  readonly preprocess?: Preprocess
}

export interface ExportReport {
  readonly out: string
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
  /** 10⁹ multiply-adds for one picture. */
  readonly gmacs: number
  /** Pictures decide how many tokens are computed, and `gmacs` is the most it can be. */
  readonly gmacsAtMost?: true
  /** What the files cannot say as it is. */
  readonly warnings?: readonly string[]
}

/** Names that transformers.js looks for, by its `dtype`. */
const onnxFiles: Record<Precision, { readonly file: string; readonly dtype: string }> = {
  fp32: { file: 'model.onnx', dtype: 'fp32' },
  fp16: { file: 'model_fp16.onnx', dtype: 'fp16' },
  int8: { file: 'model_quantized.onnx', dtype: 'q8' },
}

/**
 * Writes a model into the folder `out`: all of its files, or none. Precisions that an earlier export wrote stay.
 *
 * @returns all files of the export that `out` holds now
 * @throws InputError when keep ratios are out of range, `out` holds something that no export wrote, or an export of
 *   another model, plan or preprocessing
 */
export async function exportModel(model: LoadedModel, out: string, options: ExportOptions = {}): Promise<ExportReport> {
  const { config } = model
  const { features = false, elastic = false, portable = false } = options
  const { precisions = ['fp32'], preprocess = preprocessOf(model), weights = true } = options
  const { plan: reduction, ...prepared } = prepare(model, options, { features, elastic })
  const { macs, varies } = prepared.cost()
  const gmacs = macs / 1e9
  const idle = elastic ? storedChoice(reduction) : storedPlan(reduction)
  const method = elastic ? 'elastic' : reduction.method
  const metadata = {
    model: model.name,
    ...Object.fromEntries(Object.entries(idle ?? {}).map(([name, value]) => [name, String(value)])),
    method,
    gmacs: `${varies ? 'at most ' : ''}${gmacs.toFixed(3)}`,
  }
  const mark: ExportMark = {
    weights: hashWeights(model.state),
    method,
    files: precisions.map((precision) => onnxFiles[precision].file),
  }
  const json = modelConfigJson({
    config,
    preprocess,
    ...(model.labels && { labels: model.labels }),
    ...(idle && { idle }),
  })
  const earlier = await earlierExport(out, json, mark)
  const files = [...new Set([...earlier, ...mark.files])].sort()
  const fill = async (folder: string) => {
    await mkdir(join(folder, 'onnx'))
    for (const precision of precisions) {
      const target = { precision, contrib: !portable }
      const graph = prepared.graph(target)
      const { bytes } = encodeOnnx(graph, { contrib: !portable, metadata: { ...metadata, precision } })
      await writeFileAtomic(join(folder, 'onnx', onnxFiles[precision].file), bytes)
    }
    if (weights && !existsSync(join(out, WEIGHTS)))
      await saveSafetensors(join(folder, WEIGHTS), model.state, { format: 'pt' })
    await writeJson(join(folder, 'preprocessor_config.json'), preprocessorConfigJson(preprocess))
    await writeJson(join(folder, 'config.json'), withMark(json, { ...mark, files }))
  }
  await fillFolder(out, fill)
  const squashed =
    !keepsAspect(preprocess) &&
    'preprocessor_config.json squashes pictures into the rectangle, as transformers.js knows no way that keeps their aspect; idlevit reads config.json, which does'
  const paths = ['config.json', WEIGHTS, ...files.map((file) => join('onnx', file)), 'preprocessor_config.json']
  const there = paths.filter((path) => existsSync(join(out, path)))
  const bytesOf = async (path: string) => ({ path, bytes: (await stat(join(out, path))).size })
  return {
    out,
    files: await Promise.all(there.map(bytesOf)),
    gmacs,
    ...(varies && { gmacsAtMost: true }),
    ...(squashed && { warnings: [squashed] }),
  }
}

const WEIGHTS = 'model.safetensors'

/** The configuration, with what the folder holds. transformers.js asks for fp32 unless told which file there is. */
function withMark(json: Record<string, unknown>, mark: ExportMark): Record<string, unknown> {
  const found = Object.values(onnxFiles).filter(({ file }) => mark.files.includes(file))
  const [only] = found.some(({ dtype }) => dtype === 'fp32') ? [] : found
  return {
    ...json,
    idlevit: { ...(json.idlevit as object), export: mark },
    ...(only && { 'transformers.js_config': { dtype: only.dtype } }),
  }
}

const writeJson = (path: string, value: unknown): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`)

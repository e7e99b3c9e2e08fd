/** From the name of a model to the labels of pictures, in a browser: one call each. */

import { fail } from '../errors.js'
import type { Precision } from '../graph/passes/precision.js'
import { preprocessImage } from '../images/preprocess.js'
import { withLabels } from '../labels/default.js'
import { choiceOf } from '../models/steps.js'
import { withStored } from '../reduction/registry.js'
import { type Classifier, type ClassifierOptions, topPredictions } from '../runtime/classifier.js'
import { openWebClassifier, warmRuntime } from '../runtime/web.js'
import type { BuiltModel } from '../weights/build.js'
import { type Backend, chooseDevice, started, startRuntime, threadsReason } from './backend.js'
import { openCache } from './cache.js'
import { describedModel, exportedFile, openExported } from './exported.js'
import type { ModelFiles } from './files.js'
import { noModel, onnxNames, readSideFiles, readWeights } from './model.js'
import type { LoadWebClassifierOptions, LoadWebModelOptions, WebClassifier } from './options.js'
import { readWebImage, type WebPicture, type WebReadOptions } from './picture.js'
import { openRemote } from './remote.js'
import { type ModelSource, openSource } from './source.js'

/** The files of a source, and what went wrong by the way. */
async function openFiles(source: ModelSource, options: LoadWebModelOptions) {
  const { cache: name = 'idlevit', signal, onProgress } = options
  signal?.throwIfAborted()
  const warnings: string[] = []
  const files = await openSource(source, options, {
    cache: await openCache(name),
    signal,
    onProgress,
    warn: (warning) => warnings.push(warning),
  })
  return { files, warnings }
}

/**
 * Loads a model's weights, for `openWebClassifier`.
 *
 * @throws InputError in one line when there is no such model, it cannot be fetched, or it is no vision transformer
 * @example
 * const model = await loadWebModel('./deit-tiny-idle/', { onProgress: ({ bytes, total }) => show(bytes / total) })
 * const [dense, idle] = await Promise.all([1, 0.5].map((keepRatio) => openWebClassifier(model, { keepRatio })))
 */
export async function loadWebModel(source: ModelSource, options: LoadWebModelOptions = {}): Promise<BuiltModel> {
  const { files, warnings } = await openFiles(source, options)
  const model = (await readWeights(files, await readSideFiles(files), options)) ?? noModel(files)
  return { ...model, warnings: [...model.warnings, ...warnings] }
}

/**
 * Loads a model and gets it ready for pictures.
 *
 * @param source - the address of a folder or a weights file, a hub id, or files that were chosen: {@link ModelSource}
 * @throws InputError in one line when there is no such model, it cannot be fetched, it is no vision transformer, or it
 *   cannot run here; the signal's reason when that gives up
 * @example
 * const classifier = await loadWebClassifier('/models/scenes-idle/', { keepRatio: 0.7, worker: true })
 * console.log(classifier.backend) // { device: 'wasm', threads: 4, reason: 'WASM: WebGPU finds no GPU; 4 threads of 8 cores' }
 * const [best] = await classifier.classify(document.querySelector('img'))
 * await classifier.close()
 */
export async function loadWebClassifier(
  source: ModelSource,
  options: LoadWebClassifierOptions = {},
): Promise<WebClassifier> {
  const { worker, signal, threads } = options
  if (worker) return openRemote(source, options, worker)
  const chosen = await chooseDevice(options.device ?? 'auto')
  const settingsFor = (device: Backend['device']) => ({
    ...options,
    device: device === 'wasm' ? ('cpu' as const) : device,
  })
  const { files, warnings } = await openFiles(source, options)
  warmRuntime(settingsFor(chosen.device)).catch(() => {}) // while the model comes; its session says what is wrong
  const found = await readModel(files, options)
  const open = async (device: Backend['device'], reason: string): Promise<WebClassifier> => {
    const settings = settingsFor(device)
    const runtime = await startRuntime(settings)
    const classifier = await started(openFound(found, settings))
    const backend = {
      device,
      threads: runtime.threads,
      reason: `${reason}; ${threadsReason(runtime.threads, threads)}`,
    }
    const told = [...found.model.warnings, ...warnings, ...classifier.warnings]
    return withPictures({ ...classifier, warnings: told }, found, backend)
  }
  const opened = await open(chosen.device, chosen.reason).catch((error: Error) => {
    if (chosen.device === 'wasm' || options.device === 'webgpu') throw error
    return open('wasm', `WASM: WebGPU cannot run this model (${error.message.split('\n')[0]})`)
  })
  if (!signal?.aborted) return opened
  await opened.close()
  throw signal.reason
}

/** A model's file, read. */
interface FoundModel {
  readonly model: BuiltModel
  readonly file: string
  /** The bytes of an exported file, where that is taken. */
  readonly onnx?: Uint8Array
}

type Settings = Omit<LoadWebClassifierOptions, 'device'> & Pick<ClassifierOptions, 'device'>

function openFound({ model, file, onnx }: FoundModel, settings: Settings): Promise<Classifier> {
  const { steps } = settings
  if (onnx && steps) fail(`${file}: steps are for weights (model.safetensors), found an exported file`)
  if (onnx) return openExported(onnx, file, model, settings)
  return openWebClassifier(model, { ...settings, ...withStored(settings, steps ? choiceOf(model.idle) : model.idle) })
}

/** Decides which of a folder's files is read, and reads it. */
async function readModel(files: ModelFiles, options: LoadWebClassifierOptions): Promise<FoundModel> {
  const { format = 'auto', precision = 'fp32', labels } = options
  if (!['auto', 'safetensors', 'onnx'].includes(format))
    fail(`format: wanted auto, safetensors or onnx, found ${format}`)
  const beside = await readSideFiles(files)
  const readOnnx = async (file: string): Promise<FoundModel | undefined> => {
    const bytes = files.has(file) === false ? undefined : await files.read(file)
    if (!bytes) return undefined
    const model = withLabels(describedModel(files, beside, options), labels)
    return { model, file, onnx: bytes }
  }
  const named = files.weights
  if (named?.endsWith('.onnx')) return (await readOnnx(named)) ?? noModel(files)
  const small = format === 'auto' && named === undefined && precision !== 'fp32' && exportedFile(files, beside, options)
  const fitting = small ? await readOnnx(small) : undefined
  if (fitting) return fitting
  const model = format === 'onnx' ? undefined : await readWeights(files, beside, options)
  if (model) return { model: withLabels(model, labels), file: named ?? 'model.safetensors' }
  if (format === 'safetensors' || named !== undefined) return noModel(files)
  return (await readOnnx(`onnx/${onnxOf(beside.exported?.files, options.precision)}`)) ?? noModel(files)
}

/** The file of a precision; of none in particular the most exact that there is. */
function onnxOf(exported: readonly string[] = [], precision?: Precision): string {
  if (precision) return onnxNames[precision]
  return Object.values(onnxNames).find((name) => exported.includes(name)) ?? onnxNames.fp32
}

/** A classifier that reads pictures. The runtime has the weights: they are not kept twice. */
function withPictures(classifier: Classifier, { model, file }: FoundModel, backend: Backend): WebClassifier {
  const { preprocess } = model
  const read = async (picture: WebPicture, options?: WebReadOptions) =>
    preprocessImage(await readWebImage(picture, options), preprocess) // [3, S, S]
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= classifier.close()
    return closing
  }
  const open = () => (closing ? fail('the classifier is closed') : classifier)
  return {
    ...classifier,
    model: { ...model, state: new Map() },
    backend,
    file,
    preprocess,
    read,
    forward: async (pixels, keep) => open().forward(pixels, keep),
    predict: async (pixels, top) => open().predict(pixels, top),
    async classify(picture, top = 5, options = {}) {
      if (!Number.isSafeInteger(top) || top < 1) fail(`top: wanted a whole number from 1, found ${top}`)
      const pixels = await read(picture, options)
      options.signal?.throwIfAborted()
      const { logits } = await open().forward(pixels, options.keep)
      return topPredictions(logits, top, model.labels)
    },
    close,
    dispose: close,
  }
}

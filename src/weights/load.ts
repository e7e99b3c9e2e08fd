/** From what the user calls a model (`--model`) to its architecture and its complete, checked weights. */
import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fail, InputError } from '../errors.js'
import { fileError, readWholeFile } from '../files.js'
import { type Preprocess, preprocessAt } from '../images/preprocess.js'
import { type Preset, presets, type VitConfig, vitParameters } from '../models/config.js'
import { readCheckpoint } from './checkpoint.js'
import { type IdleSettings, type ModelConfigFile, parseModelConfig, weightFiles } from './config-file.js'
import { embeddedFolder, embeddedNames } from './embedded.js'
import type { HubProgress } from './hub.js'
import { parseHubId } from './hub-id.js'
import { checkState, inferVitConfig, resizeVit, unflattenPatchWeights } from './infer.js'
import { randomVit } from './init.js'
import { toTimmNames } from './names.js'
import type { StateDict } from './state.js'

/** A model ready to be built: sizes and complete, checked weights under timm's names. */
export interface LoadedModel {
  /** Short name for people: the preset, the embedded model, the hub id or the file name. */
  readonly name: string
  /** Where the weights came from: a path, a hub id, or `random:SEED`. */
  readonly source: string
  readonly config: VitConfig
  /** timm names, PyTorch layout, Float32Array everywhere; exactly the keys of `vitParameters(config)`. */
  readonly state: StateDict
  /** Class names, when the model brings real ones. */
  readonly labels?: readonly string[]
  /** How the model was finetuned to be idled, when its folder says so. */
  readonly idle?: IdleSettings
  /** How pictures were made in its training, when its folder says so; at the size it runs at. */
  readonly preprocess?: Preprocess
}

/** How to load a model. */
export interface LoadOptions {
  /** `random:SEED` for seeded random weights of a preset. */
  readonly init?: string
  /** The picture side to run at; the position embedding is resized when it differs. */
  readonly imageSize?: number
  /** Take the moving average of the weights (`model_ema`) when the checkpoint has one. */
  readonly ema?: boolean
  /** Called while files come from the hub. */
  readonly onProgress?: (progress: HubProgress) => void
}

/**
 * Loads the model that `spec` names.
 *
 * @param spec - a preset (`deit-small`), an embedded model (`demo`), a path to a weights file or folder, or a hub id
 *   (`facebook/deit-tiny-patch16-224`); a preset and a hub id may name a branch, a tag or a commit (`deit-small@main`)
 * @throws InputError in one line: no such model or file, damaged or malicious weights, lists of keys that do not fit, or
 *   what keeps the hub from answering.
 *
 * @example
 * ```ts
 * const { config, state } = await loadModel('deit-tiny', { init: 'random:0' })
 * console.log(config.depth, state.size) // 12 152
 * ```
 */
export async function loadModel(spec: string, options: LoadOptions = {}): Promise<LoadedModel> {
  const preset = Object.hasOwn(presets, spec) ? presets[spec] : undefined
  if (options.init !== undefined) return loadRandom(spec, preset, options.init, options)
  if (preset) return { ...(await loadHub(preset.hub, options)), name: spec }
  const embedded = embeddedFolder(spec)
  if (embedded !== undefined) return { ...(await loadFolder(embedded, options)), name: spec }
  const kind = await kindOf(spec)
  if (kind === 'folder') return loadFolder(spec, options)
  if (kind === 'file') return loadFile(spec, options)
  if (/\.(safetensors|pth|pt|bin|json|tar)$/.test(spec) || /^[./~\\]/.test(spec)) fail(`${spec}: no such file`)
  const [name = '', ...revision] = spec.split('@')
  const repository = revision.length > 0 && Object.hasOwn(presets, name) ? presets[name]?.hub : undefined
  if (repository) return { ...(await loadHub([repository, ...revision].join('@'), options)), name: spec }
  if (parseHubId(spec)) return loadHub(spec, options)
  const known = [...embeddedNames, presetNames()].join(', ')
  return fail(
    `unknown model ${spec}: neither a file or folder, nor a hub id (owner/name, owner/name@revision), nor one of ${known}`,
  )
}

const presetNames = (): string => Object.keys(presets).join(', ')

async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file'
  } catch (error) {
    const missing =
      error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR', 'EINVAL'].includes(String(error.code))
    if (missing) return undefined
    throw fileError(error, path)
  }
}

function loadRandom(spec: string, preset: Preset | undefined, init: string, options: LoadOptions): LoadedModel {
  const config = preset?.config ?? fail(`random weights need one of ${presetNames()}, found ${spec}`)
  const [, digits] = /^random(?::(-?\d+))?$/.exec(init) ?? fail(`init should be random:SEED, found ${init}`)
  const seed = Number(digits ?? 0)
  const { imageSize = config.imageSize } = options
  if (!Number.isInteger(imageSize) || imageSize < 1 || imageSize % config.patchSize !== 0)
    fail(`an image size of ${imageSize} is no multiple of the patch size ${config.patchSize}`)
  const sized = { ...config, imageSize }
  return { name: spec, source: `random:${seed}`, config: sized, state: randomVit(sized, seed) }
}

async function loadHub(id: string, options: LoadOptions): Promise<LoadedModel> {
  const { downloadModel } = await import('./hub.js') // the client takes a while to load, and most models are files
  const folder = await downloadModel(id, options.onProgress ? { onProgress: options.onProgress } : {})
  return { ...(await loadFolder(folder, options)), name: id, source: id }
}

/** A folder in hub layout, or one of ours: weights under their usual name, and config.json beside them. */
async function loadFolder(folder: string, options: LoadOptions): Promise<LoadedModel> {
  for (const file of weightFiles) {
    const path = join(folder, file)
    if ((await kindOf(path)) === 'file')
      return { ...(await loadFile(path, options)), name: basename(folder), source: folder }
  }
  return fail(`${folder}: the folder holds no weights: no ${weightFiles.join(', ')}`)
}

async function loadFile(path: string, options: LoadOptions): Promise<LoadedModel> {
  const { state } = await readCheckpoint(path, { ema: options.ema ?? false })
  const file = await configBeside(path)
  try {
    return { name: basename(path), source: path, ...buildVit(state, file, options) }
  } catch (error) {
    throw error instanceof InputError ? new InputError(`${path}: ${error.message}`) : error
  }
}

/** config.json belongs to a weights file that has the usual name. */
async function configBeside(path: string): Promise<ModelConfigFile> {
  const config = join(dirname(path), 'config.json')
  if (!weightFiles.includes(basename(path)) || (await kindOf(config)) !== 'file') return {}
  return parseModelConfig(new TextDecoder().decode(await readWholeFile(config, 2 ** 26)), config)
}

function buildVit(stored: StateDict, file: ModelConfigFile, options: LoadOptions) {
  const state = unflattenPatchWeights(toTimmNames(stored))
  const config = inferVitConfig(state, file)
  const expected = vitParameters(config)
  checkState(state, expected)
  // In the order of the architecture, not of the file: what is written again does not depend on where it came from.
  const ordered: StateDict = new Map([...expected.keys()].map((name) => [name, state.get(name) ?? fail(`no ${name}`)]))
  const { imageSize = config.imageSize } = options
  return {
    ...resizeVit(config, ordered, imageSize),
    ...(file.labels?.length === config.classes ? { labels: file.labels } : {}),
    ...(file.idle ? { idle: file.idle } : {}),
    ...(file.preprocess ? { preprocess: preprocessAt(file.preprocess, imageSize) } : {}),
  }
}

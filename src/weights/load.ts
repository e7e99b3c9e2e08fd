/** From what the user calls a model (`--model`) to its architecture and its complete, checked weights. */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { fail, InputError } from '../errors.js'
import { fileError, readWholeFile } from '../files.js'
import { overridePreprocess, type Preprocess } from '../images/preprocess.js'
import { type Sides, sidesOf } from '../images/sides.js'
import type { VitConfig } from '../models/config.js'
import { findPreset, hubOf, type Preset, presets } from '../models/presets.js'
import { checkMaps, isSwin } from '../models/swin-config.js'
import { type BuiltModel, buildModel, type ModelOrigins, sideOf } from './build.js'
import { readCheckpoint } from './checkpoint.js'
import { weightFiles } from './config-file.js'
import { embeddedFolder, embeddedNames } from './embedded.js'
import { findHeads } from './heads.js'
import type { HubProgress } from './hub.js'
import { parseHubId } from './hub-id.js'
import { randomVit } from './init.js'
import { deitPreprocess, lvvitPreprocess, t2tPreprocess } from './pictures.js'

/** A model ready to be built: sizes and complete, checked weights under timm's names. */
export interface LoadedModel
  extends Omit<BuiltModel, 'preprocess' | 'origins' | 'warnings'>,
    Partial<Pick<BuiltModel, 'preprocess' | 'origins' | 'warnings'>> {
  /** Where the weights came from: a path, a hub id, or `random:SEED`. */
  readonly source: string
}

/** How to load a model. */
export interface LoadOptions {
  /** `random:SEED` for seeded random weights of a preset. */
  readonly init?: string
  /** The picture side to run at, or height and width; the position embedding is resized when it differs. */
  readonly imageSize?: Sides
  /** Also take a cascade of nets (DVT), which `openNodeClassifier` runs and little else can; default: it is refused. */
  readonly cascades?: boolean
  /** Take the moving average of the weights (`model_ema`) when the checkpoint has one. */
  readonly ema?: boolean
  /** Attention heads, where no file says them or says them wrongly. */
  readonly heads?: number
  /** How pictures are made; what is left out is as the model's files say. `crop` is the picture side, of rectangles the width. */
  readonly preprocess?: Partial<Preprocess>
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
  const preset = findPreset(spec)
  if (options.init !== undefined) return loadRandom(spec, preset, options.init, options)
  if (preset) return { ...(await loadHub(hubOf(spec, preset), options)), name: spec }
  const embedded = embeddedFolder(spec)
  if (embedded !== undefined) return { ...(await loadFolder(embedded, options)), name: spec }
  const kind = await kindOf(spec)
  if (kind === 'folder') return loadFolder(spec, options)
  if (kind === 'file') return loadFile(spec, options)
  if (/\.(safetensors|pth|pt|bin|json|tar)$/.test(spec) || /^[./~\\]/.test(spec)) fail(`${spec}: no such file`)
  const [name = '', ...revision] = spec.split('@')
  const revised = revision.length > 0 ? findPreset(name) : undefined
  if (revised) return { ...(await loadHub([hubOf(name, revised), ...revision].join('@'), options)), name: spec }
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

/** Sizes, preprocessing and origins of a preset, without its weights. */
export function presetSizes(preset: Preset, options: Pick<LoadOptions, 'imageSize' | 'heads' | 'preprocess'>) {
  const { config } = preset
  const size = sidesOf(sideOf(options) ?? config.imageSize)
  const [height, width] = size
  for (const side of size)
    if (!Number.isInteger(side) || side < 1 || side % config.patchSize !== 0)
      fail(`an image size of ${side} is no multiple of the patch size ${config.patchSize}`)
  const { heads } = findHeads(config.width, config.depth, { given: options.heads ?? config.heads })
  const own = { source: "the preset's own", guessed: false }
  const origins: ModelOrigins = {
    heads: options.heads === undefined ? own : { source: 'as given', guessed: false },
    layerNormEps: own,
    preprocess: own,
  }
  const sized: VitConfig = { ...config, imageSize: width, ...(height !== width && { imageHeight: height }), heads }
  if (isSwin(sized)) {
    checkMaps(sized)
    if (heads !== config.heads) fail(`heads: a Swin has its own in every stage, found ${heads}`)
  }
  const pictures = config.tokensToToken
    ? t2tPreprocess(size)
    : config.stem === undefined
      ? deitPreprocess(size)
      : lvvitPreprocess(size, config)
  return {
    config: sized,
    preprocess: overridePreprocess({ ...pictures, ...preset.statistics }, options.preprocess ?? {}),
    origins,
  }
}

function loadRandom(spec: string, preset: Preset | undefined, init: string, options: LoadOptions): LoadedModel {
  if (!preset) return fail(`random weights need one of ${presetNames()}, found ${spec}`)
  const [, digits] = /^random(?::(-?\d+))?$/.exec(init) ?? fail(`init should be random:SEED, found ${init}`)
  const seed = Number(digits ?? 0)
  const sized = presetSizes(preset, options)
  return { name: spec, source: `random:${seed}`, ...sized, state: randomVit(sized.config, seed) }
}

async function loadHub(id: string, options: LoadOptions): Promise<LoadedModel> {
  const { downloadModel } = await import('./hub.js') // the client takes a while to load, and most models are files
  const folder = await downloadModel(id, options.onProgress ? { onProgress: options.onProgress } : {})
  return { ...(await loadFolder(folder, options, parseHubId(id)?.name)), name: id, source: id }
}

/** A folder in hub layout, or one of ours: weights under their usual name, and config.json beside them. */
async function loadFolder(folder: string, options: LoadOptions, id?: string): Promise<LoadedModel> {
  for (const file of weightFiles) {
    const path = join(folder, file)
    if ((await kindOf(path)) === 'file')
      return { ...(await loadFile(path, options, id)), name: basename(folder), source: folder }
  }
  return fail(`${folder}: the folder holds no weights: no ${weightFiles.join(', ')}`)
}

async function loadFile(path: string, options: LoadOptions, id = hubIdOf(dirname(path))): Promise<LoadedModel> {
  const { state } = await readCheckpoint(path, { ema: options.ema ?? false })
  const { heads, imageSize, preprocess, cascades = false } = options
  const beside = await filesBeside(path)
  const built = withPath(path, () =>
    buildModel(state, {
      name: basename(path),
      folder: `${dirname(path)}${sep}`,
      ...(id !== undefined && { id }),
      ...beside.files,
      ...(heads !== undefined && { heads }),
      ...(imageSize !== undefined && { imageSize }),
      ...(preprocess && { preprocess }),
      cascades,
    }),
  )
  return { ...built, source: path, warnings: [...beside.warnings, ...built.warnings] }
}

/** Runs `build`; an error says which file the weights are in, unless it names a file of their folder itself. */
function withPath<T>(path: string, build: () => T): T {
  try {
    return build()
  } catch (error) {
    if (!(error instanceof InputError) || error.message.startsWith(`${dirname(path)}${sep}`)) throw error
    throw new InputError(`${path}: ${error.message}`)
  }
}

/** The hub id of a folder in the hub's cache, or of a copy that still has the repository's name. */
function hubIdOf(folder: string): string | undefined {
  const [, owner, name] = /models--([\w.-]+?)--([\w.-]+)[/\\]snapshots[/\\][0-9a-f]{40}$/.exec(folder) ?? []
  if (owner !== undefined) return `${owner}/${name}`
  const last = basename(folder)
  return last.startsWith('deit-') ? `facebook/${last}` : undefined
}

/** What says more about weights. */
const sideFiles = { config: 'config.json', preprocessor: 'preprocessor_config.json' } as const

/**
 * The files beside weights that say more about them. They belong to weights of the usual name, and to the only weights of
 * their folder, whatever the name; of the latter this is not sure.
 */
async function filesBeside(
  path: string,
): Promise<{ files: Partial<Record<keyof typeof sideFiles, unknown>> & { unsure?: boolean }; warnings: string[] }> {
  const folder = dirname(path)
  const there: [keyof typeof sideFiles, string][] = []
  for (const [key, file] of Object.entries(sideFiles) as [keyof typeof sideFiles, string][])
    if ((await kindOf(join(folder, file))) === 'file') there.push([key, join(folder, file)])
  if (there.length === 0) return { files: {}, warnings: [] }
  const usual = weightFiles.includes(basename(path))
  const names = await readdir(folder)
  const others = names.filter((name) => /\.(safetensors|pth|pt|bin)$/.test(name) && name !== basename(path))
  if (!usual && others.length > 0) {
    const found = there.map(([, file]) => file).join(' and ')
    return { files: {}, warnings: [`${found} may be of ${others[0]}, which lies beside ${basename(path)}: not read`] }
  }
  const files: Record<string, unknown> = {}
  for (const [key, file] of there) files[key] = await readJson(file)
  return { files: { ...files, ...(!usual && { unsure: true }) }, warnings: [] }
}

async function readJson(path: string): Promise<unknown> {
  const text = new TextDecoder().decode(await readWholeFile(path, 2 ** 26))
  try {
    return JSON.parse(text)
  } catch {
    return fail(`${path}: not valid JSON`)
  }
}

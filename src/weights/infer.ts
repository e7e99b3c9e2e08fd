/** Architecture from weights: sizes of a ViT or DeiT read off its keys and shapes, and the check that all of them fit. */
import { fail } from '../errors.js'
import { prefixTokens, type VitConfig, vitParameters } from '../models/config.js'
import { findHeads } from './heads.js'
import { resizePositions } from './position.js'
import { float32, floatsOf, nameText, type StateDict, sameShape, shapeText } from './state.js'

/** What the shapes alone do not tell. */
export interface InferOptions {
  /** Attention heads; without it as in published models of this width, see findHeads. */
  readonly heads?: number
  /** LayerNorm epsilon; 1e-6 without it. */
  readonly layerNormEps?: number
}

/** What shapes do tell. */
export type VitShape = Omit<VitConfig, 'heads' | 'layerNormEps'>

/**
 * The sizes of the ViT or DeiT whose weights these are.
 *
 * @param state - under timm's names (see toTimmNames)
 * @throws InputError when this is no ViT, or its shapes contradict each other.
 */
export function inferVitConfig(state: StateDict, options: InferOptions = {}): VitConfig {
  const shape = inferVitShape(state)
  const { heads } = findHeads(shape.width, shape.depth, { given: options.heads })
  return { ...shape, heads, layerNormEps: options.layerNormEps ?? 1e-6 }
}

/** The sizes that shapes tell; throws as {@link inferVitConfig}. */
export function inferVitShape(state: StateDict): VitShape {
  const shapeOf = (name: string, rank: number, what: string): readonly number[] => {
    const shape = state.get(name)?.shape ?? fail(`not a ViT or DeiT: there is no ${name} (${describe(state)})`)
    return shape.length === rank && !shape.includes(0) ? shape : fail(`${name} ${shapeText(shape)} should be ${what}`)
  }
  const [, , width = 0] = shapeOf('cls_token', 3, '[1, 1, width]')
  const [, , , patchSize = 0] = patchShape(state, width)
  const distilled = state.has('dist_token')
  const [, rows = 0] = shapeOf('pos_embed', 3, '[1, tokens, width]')
  const grid = Math.sqrt(rows - prefixTokens({ distilled }))
  if (!Number.isInteger(grid) || grid < 1)
    fail(
      `pos_embed has ${rows} rows: without ${prefixTokens({ distilled })} for the tokens in front they form no square`,
    )
  const [hidden = 0] = shapeOf('blocks.0.mlp.fc1.weight', 2, '[hidden, width]')
  const [classes = 0] = shapeOf('head.weight', 2, '[classes, width]')
  const depth = countBlocks(state)
  const evo = state.has('norm_cls.weight') && state.has('head_cls.weight') // Evo-ViT's two heads
  const pool = evo && ({ pool: 'mean', classHead: true } as const)
  return { imageSize: grid * patchSize, patchSize, width, depth, hidden, classes, distilled, ...pool }
}

const describe = (state: StateDict): string => {
  const names = [...state.keys()]
  return names.length === 0 ? 'the file holds no tensors' : `it holds ${listNames(names, 3)}`
}

function countBlocks(state: StateDict): number {
  const blocks = new Set<string>()
  for (const name of state.keys()) {
    const [, index] = /^blocks\.(\d{1,6})\./.exec(name) ?? []
    if (index !== undefined) blocks.add(index)
  }
  // Numbering with holes is reported as missing keys by the check that follows.
  return blocks.size
}

/** Shape of the patch weights, [width, 3, P, P]; very old checkpoints have [width, 3 P²]. */
function patchShape(state: StateDict, width: number): readonly number[] {
  const name = 'patch_embed.proj.weight'
  const { shape } = state.get(name) ?? fail(`not a ViT or DeiT: there is no ${name} (${describe(state)})`)
  const side = Math.sqrt((shape[1] ?? 0) / 3)
  const full = shape.length === 2 && Number.isInteger(side) ? [width, 3, side, side] : shape
  if (full.length !== 4 || full.includes(0) || full[2] !== full[3])
    fail(`${name} ${shapeText(shape)} should be [width, 3, patch, patch]`)
  return full
}

/** The state with two-dimensional patch weights in their four-dimensional shape: channel, row, column. */
export function unflattenPatchWeights(state: StateDict): StateDict {
  const name = 'patch_embed.proj.weight'
  const patch = state.get(name)
  if (patch?.shape.length !== 2) return state
  const shape = patchShape(state, patch.shape[0] ?? 0)
  return new Map(state).set(name, { ...patch, shape })
}

/** What does not fit between a state dict and the parameters a model wants. */
export interface StateReport {
  readonly missing: readonly string[]
  readonly unexpected: readonly string[]
  /** `name [found] instead of [wanted]`. */
  readonly misshaped: readonly string[]
  /** Integer tensors where numbers with a fraction belong. */
  readonly mistyped: readonly string[]
  /** Tensors with NaN or infinite numbers. */
  readonly notFinite: readonly string[]
}

/** Compares a state dict with the parameters a model wants. */
export function compareState(state: StateDict, expected: ReadonlyMap<string, readonly number[]>): StateReport {
  const missing: string[] = []
  const misshaped: string[] = []
  const mistyped: string[] = []
  const notFinite: string[] = []
  for (const [name, wanted] of expected) {
    const tensor = state.get(name)
    if (!tensor) missing.push(name)
    else if (!sameShape(tensor.shape, wanted))
      misshaped.push(`${name} ${shapeText(tensor.shape)} instead of ${shapeText(wanted)}`)
    else if (!(tensor.data instanceof Float32Array)) mistyped.push(`${name} ${tensor.dtype}`)
    else if (!allFinite(tensor.data)) notFinite.push(name)
  }
  const unexpected = [...state.keys()].filter((name) => !expected.has(name))
  return { missing, unexpected, misshaped, mistyped, notFinite }
}

/** x · 0 is 0 for every finite x, and NaN, which no sum loses, for all others; four sums that do not wait for each other. */
function allFinite(data: Float32Array): boolean {
  const { length } = data
  const whole = length - (length % 4)
  let [a, b, c, d] = [0, 0, 0, 0]
  for (let i = 0; i < whole; i += 4) {
    a += (data[i] as number) * 0
    b += (data[i + 1] as number) * 0
    c += (data[i + 2] as number) * 0
    d += (data[i + 3] as number) * 0
  }
  for (let i = whole; i < length; i++) a += (data[i] as number) * 0
  return a + b + c + d === 0
}

/**
 * Makes sure that a state dict holds exactly the expected parameters, as finite floats.
 *
 * @throws InputError with the lists of missing, unexpected, mis-shaped, non-float and non-finite tensors.
 */
export function checkState(state: StateDict, expected: ReadonlyMap<string, readonly number[]>): void {
  const report = compareState(state, expected)
  const problems = [
    ['missing', report.missing],
    ['unexpected', report.unexpected],
    ['of the wrong shape', report.misshaped],
    ['not floating-point', report.mistyped],
    ['with NaN or infinite values', report.notFinite],
  ] as const
  const lines = problems.flatMap(([what, names]) =>
    names.length > 0 ? [`${names.length} ${what}: ${listNames(names)}`] : [],
  )
  if (lines.length > 0) fail(`the weights do not fit: ${lines.join('; ')}`)
}

function listNames(names: readonly string[], most = 10): string {
  const shown = names.slice(0, most).map(nameText)
  return names.length > most ? `${shown.join(', ')} and ${names.length - most} more` : shown.join(', ')
}

/**
 * A complete ViT for another picture side: the position embedding is resized, the rest shared.
 *
 * @throws InputError when the side is no multiple of the patch size.
 */
export function resizeVit(
  config: VitConfig,
  state: StateDict,
  imageSize: number,
): { readonly config: VitConfig; readonly state: StateDict } {
  if (imageSize === config.imageSize) return { config, state }
  if (!Number.isInteger(imageSize) || imageSize < 1 || imageSize % config.patchSize !== 0)
    fail(`an image size of ${imageSize} is no multiple of the patch size ${config.patchSize}`)
  const prefix = prefixTokens(config)
  const to = imageSize / config.patchSize
  const from = config.imageSize / config.patchSize
  const positions = resizePositions(floatsOf(state, 'pos_embed'), prefix, from, to, config.width)
  const resized = { ...config, imageSize }
  const shape = vitParameters(resized).get('pos_embed') ?? []
  return { config: resized, state: new Map(state).set('pos_embed', float32(positions, shape)) }
}

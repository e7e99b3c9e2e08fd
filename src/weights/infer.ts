/** Architecture from weights: sizes and options of a ViT read off its keys and shapes, and the check that all of them fit. */
import { fail } from '../errors.js'
import { gridSize, positionRows, prefixTokens, type VitConfig, vitParameters } from '../models/config.js'
import { TOKEN_STRIDE, type TokensToToken } from '../models/tokens-to-token.js'
import { findHeads, publishedBranchScale } from './heads.js'
import { resizePositions } from './position.js'
import { float32, floatsOf, nameText, type StateDict, sameShape, shapeText } from './state.js'

/** What shapes cannot tell, or not always. */
export interface VitHints
  extends Partial<
    Pick<
      VitConfig,
      'imageSize' | 'imageHeight' | 'pool' | 'activation' | 'rotary' | 'positions' | 'branchScale' | 'resizing'
    >
  > {}

/** What the shapes alone do not tell. */
export interface InferOptions extends VitHints {
  /** Attention heads; without it as in published models of this width, see findHeads. */
  readonly heads?: number
  /** LayerNorm epsilon; 1e-6 without it. */
  readonly layerNormEps?: number
}

/** What shapes do tell. */
export type VitShape = Omit<VitConfig, 'heads' | 'layerNormEps'>

/**
 * The sizes and options of the ViT whose weights these are.
 *
 * @param state - under timm's names (see toTimmNames)
 * @throws InputError when this is no ViT, or its shapes contradict each other.
 */
export function inferVitConfig(state: StateDict, options: InferOptions = {}): VitConfig {
  const { heads: given, layerNormEps = 1e-6, ...hints } = options
  const shape = inferVitShape(state, hints)
  const { heads } = findHeads(shape.width, shape.depth, { given: given ?? headsOf(state, shape.width) })
  return { ...shape, heads, layerNormEps }
}

/** Heads, where the norm of queries and keys tells how wide they are. */
export function headsOf(state: StateDict, width: number): number | undefined {
  const [each] = state.get('blocks.0.attn.q_norm.weight')?.shape ?? []
  return each === undefined || each === 0 || width % each !== 0 ? undefined : width / each
}

/**
 * The sizes and options that shapes tell; throws as {@link inferVitConfig}.
 *
 * @param hints - what a file beside the weights says; where it is silent the layout's usual value is taken
 */
export function inferVitShape(state: StateDict, hints: VitHints = {}): VitShape {
  const shapeOf = (name: string, rank: number, what: string): readonly number[] => {
    const shape = state.get(name)?.shape ?? fail(`not a ViT or DeiT: there is no ${name} (${describe(state)})`)
    return shape.length === rank && !shape.includes(0) ? shape : fail(`${name} ${shapeText(shape)} should be ${what}`)
  }
  const has = (name: string) => state.has(name)
  const module = tokensToTokenOf(state)
  const [width = 0, , , side = 0] = module
    ? [shapeOf('tokens_to_token.project.weight', 2, '[width, 9 pieces]')[0], 0, 0, TOKEN_STRIDE]
    : patchShape(state)
  const convolution = ['conv1', 'conv2', 'conv3'].map((each) => `patch_embed.${each}.weight`).find(has)
  const [stem] = convolution === undefined ? [] : shapeOf(convolution, 4, '[stem, channels, side, side]')
  const patchSize = stem === undefined ? side : 2 * side
  const [units = 0] = shapeOf('blocks.0.mlp.fc1.weight', 2, '[hidden, width]')
  const [, second = 0] = has('blocks.0.mlp.fc2.weight') ? shapeOf('blocks.0.mlp.fc2.weight', 2, '[width, hidden]') : []
  const gated = second > 0 && units === 2 * second
  for (const token of ['cls_token', 'dist_token'].filter(has)) shapeOf(token, 3, '[1, 1, width]')
  const distilled = has('dist_token')
  const classToken = has('cls_token')
  const [, registers = 0] = has('reg_token') ? shapeOf('reg_token', 3, '[1, registers, width]') : []
  const [classes, read] = has('head.weight') ? shapeOf('head.weight', 2, '[classes, width]') : [0, width]
  const [projection] = has('projection.weight') ? shapeOf('projection.weight', 2, '[embedding, width]') : []
  const rows = { distilled, classToken, registers }
  const [positionCount] = has('pos_embed') ? shapeOf('pos_embed', 3, '[1, tokens, width]').slice(1) : []
  const places = findPlaces(positionCount, rows, patchSize, hints)
  const normAfterPool = has('fc_norm.weight') && !has('norm.weight')
  const evo = has('norm_cls.weight') && has('head_cls.weight') // Evo-ViT's two heads
  const pool = evo
    ? 'mean'
    : findPool({ classToken, attention: has('attn_pool.latent'), normAfterPool, wide: read === 2 * width }, hints)
  const biases = has('blocks.0.attn.q_bias') ? 'qv' : hasQkvBias(state) ? 'all' : 'none'
  const usual = gated ? 'silu' : 'gelu'
  const activation = hints.activation ?? (pool === 'attention' && !gated ? 'gelu-tanh' : usual)
  const { imageSize, imageHeight, positions } = places
  const depth = countBlocks(state)
  const branchScale = hints.branchScale ?? (stem === undefined ? 1 : (publishedBranchScale(width, depth) ?? 0.5))
  const rotary = hints.rotary ?? (positions === 'none' ? ({ kind: 'dinov3', temperature: 100 } as const) : undefined)
  return {
    imageSize,
    patchSize,
    width,
    depth,
    hidden: gated ? second : units,
    classes: classes ?? 0,
    distilled,
    // Options are named where they are not DeiT's.
    ...(imageHeight !== undefined && { imageHeight }),
    ...(!classToken && { classToken }),
    ...(registers > 0 && { registers }),
    ...(positions !== 'all' && { positions }),
    ...(hints.resizing && hints.resizing !== 'bicubic' && positions !== 'none' && { resizing: hints.resizing }),
    ...(rotary && { rotary }),
    ...(stem !== undefined && { stem }),
    ...(module && { tokensToToken: module }),
    ...(!module && !has('patch_embed.proj.bias') && { patchBias: false }),
    ...(has('norm_pre.weight') && { preNorm: true }),
    ...(biases !== 'all' && { qkvBias: biases }),
    ...(has('blocks.0.attn.q_norm.weight') && { qkNorm: true }),
    ...(has('blocks.0.ls1.gamma') && { layerScale: true }),
    ...(branchScale !== 1 && { branchScale }),
    ...(gated && { gated }),
    ...(activation !== usual && { activation }),
    ...(pool !== 'class' && { pool }),
    ...(normAfterPool && { normAfterPool }),
    ...(projection !== undefined && { projection }),
    ...(has('aux_head.weight') && { auxHead: true }),
    ...(evo && { classHead: true }),
  } as const
}

/** The tokens-to-token module of a T2T-ViT. */
function tokensToTokenOf(state: StateDict): TokensToToken | undefined {
  const [, pieces] = state.get('tokens_to_token.project.weight')?.shape ?? []
  if (pieces === undefined) return undefined
  const attention = state.has('tokens_to_token.attention1.w') ? 'performer' : 'transformer'
  return { attention, width: Math.floor(pieces / 9) }
}

/** Of a model of which no block has them they are not missing, but absent. */
const hasQkvBias = (state: StateDict): boolean =>
  [...state.keys()].some((name) => name.startsWith('blocks.') && name.endsWith('.attn.qkv.bias'))

/** What the head reads. */
function findPool(
  seen: { classToken: boolean; attention: boolean; normAfterPool: boolean; wide: boolean },
  { pool }: VitHints,
): NonNullable<VitConfig['pool']> {
  if (seen.attention) return 'attention'
  if (seen.wide) return 'class-mean'
  if (!seen.classToken) return 'mean'
  if (pool !== undefined && pool !== 'attention') return pool
  return seen.normAfterPool ? 'mean' : 'class'
}

/** The picture's size and which rows have positions, from the number of positions. */
function findPlaces(
  count: number | undefined,
  rows: Pick<VitConfig, 'distilled' | 'classToken' | 'registers'>,
  patchSize: number,
  hints: VitHints,
): Pick<VitConfig, 'imageSize' | 'imageHeight'> & { readonly positions: NonNullable<VitConfig['positions']> } {
  const { imageSize, imageHeight } = hints
  if (count === undefined) {
    // Turned queries and keys fit any size; published models saw pictures of about 224.
    const side = imageSize ?? Math.max(1, Math.floor(224 / patchSize)) * patchSize
    return { imageSize: side, positions: 'none', ...(imageHeight !== undefined && { imageHeight }) }
  }
  const ways = hints.positions ? [hints.positions] : (['all', 'class', 'image'] as const)
  const picture = imageSize !== undefined && { imageSize, ...(imageHeight !== undefined && { imageHeight }) }
  const said = ways.find(
    (positions) => picture && positionRows({ ...rows, ...picture, patchSize, positions }) === count,
  )
  if (picture && said) return { ...picture, positions: said }
  const prefix = prefixTokens(rows)
  const led = { all: prefix, class: prefix - (rows.registers ?? 0), image: 0, none: 0 }
  const square = ways.find((positions) => {
    const grid = Math.sqrt(count - led[positions])
    return Number.isInteger(grid) && grid >= 1
  })
  if (!square) return fail(`pos_embed has ${count} rows: without ${prefix} for the tokens in front they form no square`)
  return { imageSize: Math.sqrt(count - led[square]) * patchSize, positions: square }
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

/** Shape of the patch weights, [width, 3, P, P], or behind a stem [width, stem, P/2, P/2]; very old checkpoints have [width, 3 P²]. */
function patchShape(state: StateDict): readonly number[] {
  const name = 'patch_embed.proj.weight'
  const { shape } = state.get(name) ?? fail(`not a ViT or DeiT: there is no ${name} (${describe(state)})`)
  const [width = 0] = shape
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
  const shape = patchShape(state)
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
 * A complete ViT for another picture size: the position embedding is resized, the rest shared.
 *
 * @param imageSize - side of the picture, or its height and width
 * @throws InputError when a side is no multiple of the patch size.
 */
export function resizeVit(
  config: VitConfig,
  state: StateDict,
  imageSize: number | readonly [number, number],
): { readonly config: VitConfig; readonly state: StateDict } {
  const [height, width] = typeof imageSize === 'number' ? [imageSize, imageSize] : imageSize
  for (const side of [height, width])
    if (!Number.isInteger(side) || side < 1 || side % config.patchSize !== 0)
      fail(`an image size of ${side} is no multiple of the patch size ${config.patchSize}`)
  const { imageHeight: _, ...square } = config
  const resized: VitConfig = { ...square, imageSize: width, ...(height !== width && { imageHeight: height }) }
  const [from, to] = [gridSize(config), gridSize(resized)]
  if (from.join() === to.join()) return { config, state }
  if (config.positions === 'none') return { config: resized, state }
  const [, rows = 0] = vitParameters(config).get('pos_embed') ?? []
  const prefix = rows - from[0] * from[1]
  const positions = resizePositions(floatsOf(state, 'pos_embed'), prefix, from, to, config.width, config.resizing)
  const shape = vitParameters(resized).get('pos_embed') ?? []
  return { config: resized, state: new Map(state).set('pos_embed', float32(positions, shape)) }
}

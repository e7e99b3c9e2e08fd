/**
 * Tensor names: every layout of a checkpoint becomes timm's.
 *
 * A layout is a table of module names, one row per module, `#` standing for a running number; it works in both directions.
 * Checked against facebook/deit's models.py (timm 0.4.12) and Hugging Face's modeling_vit.py and modeling_deit.py.
 * A new architecture is a new table in `layouts.ts`. Safe in browsers.
 */
import { fail } from '../errors.js'
import type { PositionResizing } from '../models/config.js'
import { gammas, type Layout, layouts, pretrainingParts } from './layouts.js'
import { toTimmForm } from './reshape.js'
import { elements, floatsOf, nameText, type StateDict, sameShape, shapeText, type WeightTensor } from './state.js'

/** Buffers that hold no weights: they are recomputed or count training steps. */
const buffers = ['relative_position_index', 'attn_mask', 'num_batches_tracked', 'out_zero_mask', 'position_ids']

const isBuffer = (name: string): boolean => buffers.some((suffix) => name === suffix || name.endsWith(`.${suffix}`))

const escapeText = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** A renaming by a layout's table; names that are not in it stay. */
function renamer(layout: Layout, direction: 'to timm' | 'from timm'): (name: string) => string {
  const rules = layout.modules.map(([timm, theirs]) => {
    const [from, to] = direction === 'to timm' ? [theirs, timm] : [timm, theirs]
    const pattern = new RegExp(`^${escapeText(from).replaceAll('#', '(\\d+)')}(\\.weight|\\.bias|)$`)
    return [pattern, to] as const
  })
  const isHead = (name: string) => /classifier\.|^visual_projection\.|^visual\.head\./.test(name)
  return (name) => {
    const bare = direction === 'to timm' && name.startsWith(layout.prefix) ? name.slice(layout.prefix.length) : name
    for (const [pattern, to] of rules) {
      const match = pattern.exec(bare)
      if (!match) continue
      const numbers = match.slice(1, -1)
      const renamed = to.replaceAll('#', () => numbers.shift() ?? '') + (match.at(-1) ?? '')
      return direction === 'to timm' || isHead(renamed) ? renamed : layout.prefix + renamed
    }
    return layout.timmBehindPrefix && direction === 'to timm' ? bare : name
  }
}

/** The layout that keys are in; undefined for timm's own, and for names that nobody knows. */
const layoutOf = (names: readonly string[]): Layout | undefined =>
  layouts.find(({ sign }) => names.some((name) => sign.test(name)))

/**
 * How the code that published a checkpoint with these keys resizes its positions; undefined where timm's names leave open
 * whose it is. The official DINOv2 without registers has timm's names and, unlike timm's files, a mask token.
 */
export function resizingOf(names: readonly string[]): PositionResizing | undefined {
  const layout = layoutOf(names)
  if (layout) return layout === gammas ? undefined : (layout.resizing ?? 'bicubic')
  return names.includes('mask_token') && names.includes('blocks.0.ls1.gamma') ? 'offset' : undefined
}

/** DataParallel, torch.compile and transformers' wrapper of timm models put their own name before every key. */
export function stripPrefixes(state: StateDict, where = ''): StateDict {
  const stripped: StateDict = new Map()
  for (const [name, tensor] of state) {
    const short = name.replace(/^(module\.|_orig_mod\.|timm_model\.)+/, '')
    if (stripped.has(short)) fail(`${where}${nameText(short)} is there twice, with and without a module. prefix`)
    stripped.set(short, tensor)
  }
  return stripped
}

/** What a tensor is that belongs to no image encoder; undefined for the others. */
function foreignPart(layout: Layout | undefined, names: readonly string[]): (name: string) => string | undefined {
  const { otherTower, prefix = '' } = layout ?? {}
  const isTower = otherTower && names.some((name) => name.startsWith(prefix))
  return (name) => {
    if (isTower && !name.startsWith(prefix) && otherTower.test(name)) return 'the text tower'
    return pretrainingParts.find(([, pattern]) => pattern.test(name))?.[0]
  }
}

/**
 * A state dict under timm's names: the layout is recognised by its keys, query, key and value become one `qkv`,
 * buffers are left out. Names that no table knows stay as they are, for the caller to report.
 *
 * @param leftOut - hears of what is no part of an image encoder and left out: what it is, and how many tensors
 * @throws InputError when two names become one, or query, key and value do not fit together.
 */
export function toTimmNames(state: StateDict, leftOut: (what: string, tensors: number) => void = () => {}): StateDict {
  const names = [...state.keys()]
  const layout = layoutOf(names)
  const rename = layout ? renamer(layout, 'to timm') : (name: string) => name
  const partOf = foreignPart(layout, names)
  const foreign = new Map<string, number>()
  const renamed: StateDict = new Map()
  for (const [name, tensor] of state) {
    if (isBuffer(name)) continue
    const part = partOf(name)
    if (part !== undefined) {
      foreign.set(part, (foreign.get(part) ?? 0) + 1)
      continue
    }
    const timm = rename(name)
    if (renamed.has(timm)) fail(`the weights hold ${nameText(timm)} twice, once as ${nameText(name)}`)
    renamed.set(timm, tensor)
  }
  for (const [what, tensors] of foreign) leftOut(what, tensors)
  return joinQkv(toTimmForm(withoutCopies(renamed)))
}

/** One module under the names of all heads: SPViT's predictors look at every head's channels with the same weights. */
const ofOtherHeads = /^(score_predictor\.\d+\.(?:in|out)_conv)\.[1-9]\d*(\.\d\.(?:weight|bias))$/

/** Leaves out what stands there again for other heads. */
function withoutCopies(state: StateDict): StateDict {
  return new Map(
    [...state].filter(([name, { data }]) => {
      const match = ofOtherHeads.exec(name)
      const first = match && state.get(`${match[1]}.0${match[2]}`)
      if (!first) return true
      if (first.data.length !== data.length || !first.data.every((value, i) => value === data[i]))
        fail(`${nameText(name)}: wanted the weights of the first head, which all heads share, found others`)
      return false
    }),
  )
}

/**
 * The inverse of {@link toTimmNames}: timm's names become `layout`'s, `qkv` is split in three.
 *
 * @param state - float tensors under timm's names
 */
export function fromTimmNames(state: StateDict, layout: Layout): StateDict {
  const rename = renamer(layout, 'from timm')
  const renamed: StateDict = new Map()
  for (const [name, tensor] of splitQkv(state)) renamed.set(rename(name), tensor)
  return renamed
}

/** `attn.q.*`, `attn.k.*`, `attn.v.*` stacked by rows: q, then k, then v; `attn.qk.*` holds the first two. */
function joinQkv(state: StateDict): StateDict {
  const joined: StateDict = new Map()
  for (const [name, q] of state) {
    const pair = /^(.*attn\.)(qk|v)(\.(?:weight|bias))$/.exec(name)
    const both = pair && state.get(`${pair[1]}qk${pair[3]}`)
    if (pair && both) {
      const v = state.get(`${pair[1]}v${pair[3]}`)
      if (!v) joined.set(name, q)
      else if (pair[2] === 'qk') joined.set(`${pair[1]}qkv${pair[3]}`, stack(name, [both, v], 2))
      continue
    }
    const match = /^(.*attn\.)([qkv])(\.(?:weight|bias))$/.exec(name)
    const [, path, part, kind] = match ?? []
    const k = state.get(`${path}k${kind}`)
    const v = state.get(`${path}v${kind}`)
    // Keys without a bias, as BEiT and DINOv3 have it.
    const keyless = kind === '.bias' && v && !k && state.has(`${path}k.weight`)
    if (match && keyless && (part === 'v' || state.has(`${path}q${kind}`))) joined.set(`${path}${part}_bias`, q)
    else if (!match || !k || !v || !state.has(`${path}q${kind}`)) joined.set(name, q)
    else if (part === 'q') joined.set(`${path}qkv${kind}`, stack(name, [q, k, v]))
  }
  return joined
}

/** Parts below each other; `shares` is how many of the joined thirds the first one holds. */
function stack(name: string, parts: readonly WeightTensor[], shares = 1): WeightTensor {
  const [rows = 0, ...rest] = parts[0]?.shape ?? []
  const data = new Float32Array(parts.reduce((sum, part) => sum + elements(part.shape), 0))
  let position = 0
  for (const [i, part] of parts.entries()) {
    const wanted = [i === 0 ? rows : rows / shares, ...rest]
    if (!(part.data instanceof Float32Array) || !sameShape(part.shape, wanted))
      return fail(
        `${nameText(name)} ${shapeText([rows, ...rest])} and its neighbours of shape ${shapeText(part.shape)} cannot be joined`,
      )
    data.set(part.data, position)
    position += part.data.length
  }
  const all = parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0)
  return { dtype: parts[0]?.dtype ?? 'F32', shape: [all, ...rest], data }
}

function splitQkv(state: StateDict): StateDict {
  const split: StateDict = new Map()
  for (const [name, tensor] of state) {
    const match = /^(.*attn\.)qkv(\.(?:weight|bias))$/.exec(name)
    const [rows = 0, ...rest] = tensor.shape
    if (!match || rows % 3 !== 0) {
      split.set(name, tensor)
      continue
    }
    const data = floatsOf(state, name)
    const size = data.length / 3
    for (const [i, part] of ['q', 'k', 'v'].entries())
      split.set(`${match[1]}${part}${match[2]}`, {
        dtype: tensor.dtype,
        shape: [rows / 3, ...rest],
        data: data.subarray(i * size, (i + 1) * size),
      })
  }
  return split
}

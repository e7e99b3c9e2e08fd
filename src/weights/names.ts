/**
 * Tensor names: every layout of a checkpoint becomes timm's.
 *
 * A layout is a table of module names, one row per module, `#` standing for a number; it works in both directions.
 * Checked against facebook/deit's models.py (timm 0.4.12) and Hugging Face's modeling_vit.py and modeling_deit.py.
 * A new architecture is a new table. Safe in browsers.
 */
import { fail } from '../errors.js'
import { elements, floatsOf, nameText, type StateDict, sameShape, shapeText, type WeightTensor } from './state.js'

/** How one library names the modules of an architecture. */
export interface Layout {
  /** Name for people. */
  readonly name: string
  /** A key that only this layout has. */
  readonly sign: RegExp
  /** What comes before every key but those of the heads; base-model dumps leave it out. */
  readonly prefix: string
  /** [timm, theirs]: modules (or parameters without a module), `#` for a running number. */
  readonly modules: readonly (readonly [string, string])[]
}

/** The blocks of Hugging Face's ViT and DeiT; query, key and value are joined to timm's qkv afterwards. */
const huggingFaceBlocks: Layout['modules'] = [
  ['cls_token', 'embeddings.cls_token'],
  ['dist_token', 'embeddings.distillation_token'],
  ['pos_embed', 'embeddings.position_embeddings'],
  ['patch_embed.proj', 'embeddings.patch_embeddings.projection'],
  ['blocks.#.norm1', 'encoder.layer.#.layernorm_before'],
  ['blocks.#.attn.q', 'encoder.layer.#.attention.attention.query'],
  ['blocks.#.attn.k', 'encoder.layer.#.attention.attention.key'],
  ['blocks.#.attn.v', 'encoder.layer.#.attention.attention.value'],
  ['blocks.#.attn.proj', 'encoder.layer.#.attention.output.dense'],
  ['blocks.#.norm2', 'encoder.layer.#.layernorm_after'],
  ['blocks.#.mlp.fc1', 'encoder.layer.#.intermediate.dense'],
  ['blocks.#.mlp.fc2', 'encoder.layer.#.output.dense'],
  ['norm', 'layernorm'],
]

/** Hugging Face ViTForImageClassification. */
export const huggingFaceVit: Layout = {
  name: 'Hugging Face ViT',
  sign: /^(vit\.)?(?:embeddings|encoder)\./,
  prefix: 'vit.',
  modules: [...huggingFaceBlocks, ['head', 'classifier']],
}

/** Hugging Face DeiTForImageClassificationWithTeacher. */
export const huggingFaceDeit: Layout = {
  name: 'Hugging Face DeiT',
  sign: /^(deit\.embeddings\.|cls_classifier\.|embeddings\.distillation_token)/,
  prefix: 'deit.',
  modules: [
    ...huggingFaceBlocks,
    ['head', 'cls_classifier'],
    ['head_dist', 'distillation_classifier'],
    // DeiTForImageClassification has one head on the class token.
    ['head', 'classifier'],
  ],
}

/** Evo-ViT on DeiT: attention in lists of its own, queries and keys in one matrix; they are joined to qkv afterwards. */
export const evoVit: Layout = {
  name: 'Evo-ViT',
  sign: /^qks\.\d+\.qk\./,
  prefix: '',
  modules: [
    ['blocks.#.norm1', 'norms.#'],
    ['blocks.#.attn.qk', 'qks.#.qk'],
    ['blocks.#.attn.v', 'vs.#.v'],
    ['blocks.#.attn.proj', 'projs.#'],
  ],
}

/** LayerScale as DeiT III, BEiT and timm's Eva call it. */
export const gammas: Layout = {
  name: 'DeiT III, Eva',
  sign: /^blocks\.\d+\.gamma_1$/,
  prefix: '',
  modules: [
    ['blocks.#.ls1.gamma', 'blocks.#.gamma_1'],
    ['blocks.#.ls2.gamma', 'blocks.#.gamma_2'],
  ],
}

/** The layouts that are not timm's own, in the order they are tried. */
export const layouts: readonly Layout[] = [huggingFaceDeit, huggingFaceVit, evoVit, gammas]

/** Buffers that hold no weights: they are recomputed or count training steps. */
const buffers = ['relative_position_index', 'attn_mask', 'num_batches_tracked', 'out_zero_mask', 'position_ids']

const isBuffer = (name: string): boolean => buffers.some((suffix) => name === suffix || name.endsWith(`.${suffix}`))

const escapeText = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** A renaming by a layout's table; names that are not in it stay. */
function renamer(layout: Layout, direction: 'to timm' | 'from timm'): (name: string) => string {
  const rules = layout.modules.map(([timm, theirs]) => {
    const [from, to] = direction === 'to timm' ? [theirs, timm] : [timm, theirs]
    const pattern = new RegExp(`^${escapeText(from).replace('#', '(\\d+)')}(\\.weight|\\.bias|)$`)
    return [pattern, to] as const
  })
  const isHead = (name: string) => /classifier\./.test(name)
  return (name) => {
    const bare = direction === 'to timm' && name.startsWith(layout.prefix) ? name.slice(layout.prefix.length) : name
    for (const [pattern, to] of rules) {
      const match = pattern.exec(bare)
      if (!match) continue
      const renamed = to.replace('#', match.length > 2 ? (match[1] ?? '') : '') + (match.at(-1) ?? '')
      return direction === 'to timm' || isHead(renamed) ? renamed : layout.prefix + renamed
    }
    return name
  }
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

/**
 * A state dict under timm's names: the layout is recognised by its keys, query, key and value become one `qkv`,
 * buffers are left out. Names that no table knows stay as they are, for the caller to report.
 *
 * @throws InputError when two names become one, or query, key and value do not fit together.
 */
export function toTimmNames(state: StateDict): StateDict {
  const names = [...state.keys()]
  const layout = layouts.find(({ sign }) => names.some((name) => sign.test(name)))
  const rename = layout ? renamer(layout, 'to timm') : (name: string) => name
  const renamed: StateDict = new Map()
  for (const [name, tensor] of state) {
    if (isBuffer(name)) continue
    const timm = rename(name)
    if (renamed.has(timm)) fail(`the weights hold ${nameText(timm)} twice, once as ${nameText(name)}`)
    renamed.set(timm, tensor)
  }
  return joinQkv(renamed)
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
    if (!match || !k || !v || !state.has(`${path}q${kind}`)) joined.set(name, q)
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

/** A cascade of nets (DVT) from the names and shapes of its weights. Safe in browsers. */

import { fail } from '../errors.js'
import { type CascadeConfig, netNames } from '../models/cascade.js'
import type { Cascade, VitConfig } from '../models/config.js'
import { findHeads, type Heads } from './heads.js'
import { inferVitShape } from './infer.js'
import { type StateDict, shapeText } from './state.js'

/** Grids of the three nets, and the picture that they are written for: resizes between them are fixed in the official code. */
const GRIDS = [7, 10, 14]
const SIDE = 224

/** Whether these are weights of a cascade, and not of a single net. */
export const isCascadeState = (state: StateDict): boolean =>
  [...state.keys()].some((name) => netNames.some((net) => name.startsWith(`${net}.`)))

/** What shapes do not tell. */
export interface CascadeHints {
  readonly heads?: number | undefined
  readonly layerNormEps?: number
}

/**
 * The sizes of the DVT (DeiT form) whose weights these are.
 *
 * @throws InputError where a net is missing, is not of the DeiT form, or has another grid than the official three
 */
export function inferCascade(
  state: StateDict,
  hints: CascadeHints = {},
): { readonly config: CascadeConfig; readonly heads: Heads } {
  const foreign = [...state.keys()].find((name) => /\.tokens_to_token\./.test(name))
  if (foreign !== undefined)
    fail(`${foreign}: a DVT of T2T-ViT (tokens_to_token) is not computed here; of DVT the DeiT form is`)
  const nets = netNames.map((name) => inferVitShape(netState(state, name)))
  const [first, second, last] = nets as [(typeof nets)[0], (typeof nets)[0], (typeof nets)[0]]
  const smaller = nets.map(({ imageSize, patchSize }) => ({ patchSize, grid: imageSize / patchSize }))
  for (const [i, { grid, patchSize }] of smaller.entries()) {
    const wanted = GRIDS[i] as number
    const padding = (grid * patchSize - SIDE) / 2
    if (grid !== wanted || !Number.isInteger(padding) || padding < 0)
      fail(
        `${netNames[i]}: wanted a grid of ${wanted} x ${wanted} patches on pictures of ${SIDE}, found ${grid} of ${patchSize}`,
      )
  }
  for (const [i, net] of [first, second].entries())
    for (const size of ['width', 'depth', 'classes', 'distilled'] as const)
      if (net[size] !== last[size])
        fail(`${netNames[i]}: wanted a ${size} of ${last[size]} as in ${netNames[2]}, found ${net[size]}`)
  if (last.distilled) fail('dist_token: of DVT the plain DeiT form is computed here, without a distillation token')
  const [, maps] = state.get(`${netNames[1]}.relation_reuse_conv.0.weight`)?.shape ?? []
  const told = maps === undefined ? undefined : maps / last.depth
  if (told !== undefined && (!Number.isInteger(told) || last.width % told !== 0))
    fail(`relation_reuse_conv.0.weight: ${maps} maps are not ${last.depth} blocks of some heads`)
  if (hints.heads !== undefined && told !== undefined && hints.heads !== told)
    fail(`heads: wanted ${told}, as the relation_reuse_conv of ${netNames[1]} has them, found ${hints.heads}`)
  const heads: Heads =
    told === undefined
      ? findHeads(last.width, last.depth, { given: hints.heads })
      : { heads: told, source: 'relation_reuse_conv', guessed: false, doubtful: false }
  const cascade: Cascade = { smaller: smaller.slice(0, 2), relations: told !== undefined, ...featuresOf(state) }
  const config: VitConfig = { ...last, heads: heads.heads, layerNormEps: hints.layerNormEps ?? 1e-6 }
  return { config: { ...config, cascade }, heads }
}

/** The weights of one net, without those that only a cascade has. */
function netState(state: StateDict, net: string): StateDict {
  const own = [...state].filter(([name]) => name.startsWith(`${net}.`))
  if (own.length === 0) fail(`a cascade of nets (DVT): there is no ${net}.*`)
  return new Map(own.map(([name, tensor]) => [name.slice(net.length + 1), tensor]))
}

/** Widths of the MLPs between nets, where there are such. */
function featuresOf(state: StateDict): Pick<Cascade, 'features'> {
  const name = `${netNames[1]}.blocks.0.feature_resuse_mlp.1.fc2.weight`
  const shape = state.get(name)?.shape
  if (!shape) return {}
  const [width, hidden] = shape
  if (shape.length !== 2 || !width || !hidden) return fail(`${name} ${shapeText(shape)} should be [width, hidden]`)
  return { features: { hidden, width } }
}

/** From what the user calls a model to its architecture and weights. */
import { fail } from '../errors.js'
import type { VitConfig } from '../models/config.js'
import type { StateDict } from './state.js'

/** How a folder written by `idlevit finetune` or `idlevit export` wants its model idled. */
export interface IdleSettings {
  /** One keep ratio per block. */
  readonly keepRatios?: readonly number[]
  /** Or one token count per block. */
  readonly keepTokens?: readonly number[]
  readonly score?: 'softmax' | 'logits'
}

/** A model ready to be built: sizes and complete, checked weights under timm's names. */
export interface LoadedModel {
  /** Short name for people: the preset, the hub id or the file name. */
  readonly name: string
  /** Where the weights came from: a path, a hub id, or `random:SEED`. */
  readonly source: string
  readonly config: VitConfig
  /** timm names, PyTorch layout, Float32Array everywhere; exactly the keys of `vitParameters(config)`. */
  readonly state: StateDict
  /** Class names, when the model brings real ones. */
  readonly labels?: readonly string[]
  readonly idle?: IdleSettings
}

export interface LoadOptions {
  /** `random:SEED` for seeded random weights of a preset. */
  readonly init?: string
  /** The picture side to run at; the position embedding is resized when it differs. */
  readonly imageSize?: number
  /** Take the moving average of the weights (`model_ema`) when the checkpoint has one. */
  readonly ema?: boolean
  /** Called while files come from the hub. */
  readonly onProgress?: (progress: { readonly file: string; readonly bytes: number; readonly total: number }) => void
}

/** Loads the model that `spec` names. */
export async function loadModel(spec: string, _options: LoadOptions = {}): Promise<LoadedModel> {
  return fail(`cannot load ${spec} yet`)
}

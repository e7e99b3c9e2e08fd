/** What a `config.json` says about a model, whoever wrote it. */

import type { Preprocess } from '../images/preprocess.js'
import type { StoredReduction } from '../reduction/registry.js'
import type { VitHints, VitShape } from './infer.js'
import type { JsonObject, Said } from './json.js'

/**
 * How a folder written by `idlevit finetune` or `idlevit export` wants its model's tokens reduced: the method, one keep
 * ratio or one token count per block, and the method's options.
 */
export type IdleSettings = StoredReduction

/** A size that a config.json says, to be held against the shapes. */
export interface SaidSize extends Said<number> {
  readonly size: 'imageSize' | 'patchSize' | 'width' | 'depth' | 'hidden' | 'classes'
}

/** An option that a config.json says, and whether a model has it. */
export interface SaidOption extends Said<unknown> {
  fits(shape: VitShape): boolean
}

/** What a config.json says about a model. */
export interface ModelConfigFile {
  /** What to call the file in messages. */
  readonly source: string
  readonly heads?: Said<number>
  /** timm's name of the architecture, which tells the heads of published sizes. */
  readonly architecture?: string
  readonly layerNormEps?: Said<number>
  /** An epsilon that the file says and that is not believed: Hugging Face's default. */
  readonly ignoredLayerNormEps?: Said<number>
  /** `false`: query, key and value have no bias. */
  readonly qkvBias?: boolean
  readonly sizes: readonly SaidSize[]
  /** What shapes cannot tell. */
  readonly hints?: VitHints
  /** Options that a config.json says, to be held against the shapes. */
  readonly options?: readonly SaidOption[]
  /** Class names; absent when the file has only placeholders (`LABEL_0`). */
  readonly labels?: readonly string[]
  readonly idle?: IdleSettings
  /** How pictures are made, as a folder of this project says it. */
  readonly preprocess?: Preprocess
  /** Of a cascade: the confidence from which a net answers, for every net but the last. */
  readonly thresholds?: readonly number[]
  /** timm's `pretrained_cfg`: how pictures are made, read when it is wanted. */
  readonly pretrained?: JsonObject
  readonly warnings: readonly string[]
}

/** A tiny model of every family. */

import type { VitConfig } from '../../src/models/config.js'
import { tiny, tinySwin } from './models.js'

const base: VitConfig = { ...tiny, layerNormEps: 1e-5 }
export const families: Readonly<Record<string, VitConfig>> = {
  'DeiT III': { ...base, layerScale: true, positions: 'image' },
  'LV-ViT': { ...base, stem: 4, qkvBias: 'none', branchScale: 0.5, auxHead: true },
  Swin: tinySwin,
  'DINOv2 with registers': { ...base, layerScale: true, registers: 4, positions: 'class', classes: 0 },
  'the giant DINOv2': { ...base, layerScale: true, gated: true, hidden: 32, classes: 0 },
  DINOv3: {
    ...{ ...base, layerScale: true, registers: 4, positions: 'none', qkvBias: 'qv', classes: 0 },
    rotary: { kind: 'dinov3', temperature: 100 },
  },
  CLIP: { ...base, preNorm: true, patchBias: false, activation: 'quick-gelu', projection: 7, classes: 0 },
  SigLIP: { ...base, classToken: false, pool: 'attention', activation: 'gelu-tanh', classes: 0 },
  'MAE, finetuned': { ...base, pool: 'mean', normAfterPool: true },
}

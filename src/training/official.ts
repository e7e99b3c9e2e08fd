/**
 * How the authors of other methods train them, as far as it differs from the recipe of the IdleViT paper.
 *
 * EViT: youweiliang/evit 5ca95a7, its finetuning script. DynamicViT: raoyongming/DynamicViT 1322e62. Evo-ViT:
 * YifanXu74/Evo-ViT 4c5d9b3, from scratch. ToMe: its paper trains with DeiT's recipe (arXiv 2012.12877, table 9), from
 * scratch. DynamicSwin: the same repository as DynamicViT. AdaViT: MengLcool/AdaViT 9857f92, the defaults of ada_main.py. SPViT:
 * PeiyanFlying/SPViT a1f9423, the command of its README. ATS: its losses; the schedule of its finetuning stays the one it is compared under.
 */

import type { MethodName } from '../reduction/registry.js'
import type { RecipeChanges } from './recipe.js'

/** No teacher: the cross entropy alone. */
const alone = { classification: 1, distillation: 0, feature: 0 }

/** From random weights, at 1024 pictures an update. */
const deit = {
  epochs: 300,
  lr: 1e-3, // 5e-4 × 1024 / 512
  minLr: 1e-5,
  warmupEpochs: 5,
  schedule: 'epoch-late',
  dropPath: 0.1,
} as const

/** What DynamicSwin adds to a pretrained model, at a factor of its own. */
function fresh(factor: number) {
  return ['*.score_predictor.*', '*.fastmlp.*'].map((names) => ({ names, factor }))
}

export const officialRecipes: Readonly<Partial<Record<MethodName, RecipeChanges>>> = {
  none: { ...deit, loss: alone },
  evit: {
    accumulate: 64, // 256 on each of eight processes
    lr: 8e-5, // 2e-5 × 2048 / 512
    minLr: 2e-6,
    schedule: 'epoch-late',
    weightDecay: 1e-6,
    loss: alone,
  },
  dynamicvit: {
    lr: 1e-3,
    minLr: 1e-6,
    warmupEpochs: 5,
    warmupLr: 0,
    emaDecay: 0.9999,
    repeats: 1,
    loss: { classification: 1, distillation: 0.5, feature: 0, ratio: 2, token: 0.5 },
    rates: [
      { names: 'score_predictor.*', factor: 1 },
      { names: '*', factor: 0.01, from: 5 },
    ],
    freeze: ['*_token', 'pos_embed'],
  },
  evovit: {
    ...deit,
    keep: { keepRatio: 0.5 },
    loss: { ...alone, classification: 0.5, class: 0.5 },
    early: { share: 2 / 3, settings: { layerwise: true } },
  },
  dynamicswin: {
    epochs: 120,
    lr: 4e-3,
    dropPath: 0.2,
    loss: { classification: 1, distillation: 0.5, feature: 0, ratio: 10, token: 0.5 },
    rates: [...fresh(1), { names: '*', factor: 0.2 }],
  },
  ats: { keep: { keepRatio: 1 }, loss: alone }, // a sample point for every token
  adavit: {
    epochs: 300,
    accumulate: 16, // 64 on each of eight processes, as T2T-ViT, whose script it is, is trained
    lr: 5e-4, // not scaled by the pictures of an update
    minLr: 1e-5,
    warmupEpochs: 10,
    repeats: 1,
    loss: alone, // its own losses beside it
  },
  spvit: {
    lr: 1e-3, // 5e-4 × 1024 / 512; 256 on each of four processes
    minLr: 1e-5,
    loss: { classification: 1, distillation: 0.5, feature: 0, ratio: 2, token: 0.5 },
    // Of what is pretrained 1e-5 throughout, in its code; here it falls with the others.
    rates: [
      { names: 'score_predictor.*', factor: 1 },
      { names: '*', factor: 0.01, from: 5 },
    ],
    freeze: ['*_token', 'pos_embed'],
  },
  tome: { ...deit, keep: {}, settings: { r: 13 }, loss: alone },
}

/** What a method needs under every recipe: a predictor that starts from nothing learns faster than what is pretrained. */
export const commonChanges: Readonly<Partial<Record<MethodName, RecipeChanges>>> = {
  none: { keep: { keepRatio: 1 } },
  dynamicvit: {
    rates: [
      { names: 'score_predictor.*', factor: 10 },
      { names: '*', factor: 1 },
    ],
  },
  adavit: { keep: {} }, // half of everything, as published
  spvit: {
    keep: {}, // the shares of the published models
    rates: [
      { names: 'score_predictor.*', factor: 10 },
      { names: '*', factor: 1 },
    ],
  },
  // Its own loss compares every token with the teacher's, and there is no class token whose features could be distilled.
  dynamicswin: { loss: { feature: 0 }, rates: [...fresh(10), { names: '*', factor: 1 }] },
}

/** What idling by a trained predictor needs beside: the form whose gradients reach it, and a rate of its own. */
export const predictorChanges: RecipeChanges = {
  form: 'masked',
  rates: [
    { names: '*.idle_predictor.*', factor: 10 },
    { names: '*', factor: 1 },
  ],
}

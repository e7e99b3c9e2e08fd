/** What features depend on: held against a run that goes on, and written into the file. */

import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import type { Dataset } from '../data/dataset.js'
import { describePreprocess, type Preprocess } from '../images/preprocess.js'
import { storedPlan } from '../reduction/registry.js'
import type { Classifier, Model } from '../runtime/classifier.js'
import type { Settings } from './spool.js'

/** Settings that a row's values follow from, besides which features are written. */
export function settingsOf(classifier: Classifier, dataset: Dataset, preprocess: Preprocess, limit: number): Settings {
  const { model, plan, lanes } = classifier
  const { method: _, keepTokens, keepRatios: __, ...options } = storedPlan(plan) ?? {}
  return {
    model: model.name,
    weights: weightsHash(model),
    method: plan.method,
    keep: keepTokens ?? null,
    'method options': JSON.stringify(options),
    preprocessing: describePreprocess(preprocess),
    data: dataset.name,
    pictures: limit,
    list: listHash(dataset, limit),
    lanes,
  }
}

/** What a file says of where its features come from: text by name, as safetensors and Parquet want it. */
export function metadataOf(settings: Settings): Record<string, string> {
  const told = ['model', 'weights', 'method', 'keep', 'preprocessing', 'features', 'normalize', 'dtype', 'precision']
  const entries = told.flatMap((name) => {
    const value = settings[name]
    return value === undefined || value === null
      ? []
      : [[name, typeof value === 'object' ? value.join(',') : String(value)]]
  })
  return { writer: 'idlevit embed', ...Object.fromEntries(entries) }
}

function weightsHash({ state }: Model): string {
  const hash = createHash('sha256')
  for (const [name, { data }] of [...state].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { buffer, byteOffset, byteLength } = data as Float32Array
    hash.update(name).update(new Uint8Array(buffer, byteOffset, byteLength))
  }
  return hash.digest('hex')
}

/** Names and labels in order; of files also size and time of change, so that a picture that was replaced is noticed. */
function listHash(dataset: Dataset, limit: number): string {
  const hash = createHash('sha256')
  for (let i = 0; i < limit; i++) {
    const source = dataset.source(i)
    const file = source.kind === 'file' ? statSync(source.path, { throwIfNoEntry: false }) : undefined
    hash.update(JSON.stringify([dataset.samples[i], file?.size, file?.mtimeMs]))
  }
  return hash.digest('hex')
}

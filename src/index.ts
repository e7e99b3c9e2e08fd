/**
 * idlevit for browsers and everything else that runs JavaScript: models, token idling, weights from bytes.
 * What needs files, the hub or native code is in `idlevit/node`.
 *
 * @module
 */

export { ATTENTION_RANGE, attentionPlace, rankTokens, type SortedMap } from './analysis/attention.js'
export { type BlockAttention, type Inspection, type Inspector, openInspector } from './analysis/inspect.js'
export { stateSwatch, tokenMarks } from './analysis/marks.js'
export {
  countStates,
  type IdleStatistics,
  idleStatistics,
  type Selection,
  type TokenState,
  tokenMap,
} from './analysis/tokens.js'
export { type Scene, scene, sceneClasses, sceneMask, sceneSeeds } from './data/scenes/scene.js'
export { InputError } from './errors.js'
export { type EncodeOptions, encodeOnnx, type OnnxModel } from './graph/onnx.js'
export { lower, type Precision, type Target } from './graph/passes/precision.js'
export { imagenetPreprocess, normalise, type Preprocess, preprocessImage } from './images/preprocess.js'
export { type Interpolation, type ResizeManner, type RgbImage, resizeCrop } from './images/resample.js'
export { imagenetLabels } from './labels/imagenet.js'
export { shapeOf } from './models/backbone.js'
export { type BuildOptions, buildGraph } from './models/build.js'
export type { VitConfig } from './models/config.js'
export { type ModelCost, modelCost } from './models/cost.js'
export { type Preset, presets } from './models/presets.js'
export type { Score } from './reduction/idle-block.js'
export {
  type MethodName,
  type MethodName as Method,
  methodNames,
  planReduction,
  type ReductionPlan,
  type ReductionRequest,
} from './reduction/registry.js'
export { type KeepPlan, type KeepRequest, keptTokens, planKeep, stageRatios } from './reduction/schedule.js'
export {
  type BlockSelection,
  type Classifier,
  type ClassifierOptions,
  type ForwardResult,
  type Model,
  openClassifier,
  type Prediction,
  topPredictions,
} from './runtime/classifier.js'
export { type Device, type OrtPackage, openSession, type Session, type SessionOptions } from './runtime/session.js'
export { createSession, openWebClassifier, type WebRuntimeOptions, warmRuntime } from './runtime/web.js'
export type { Backend, WebDevice } from './web/backend.js'
export { loadWebClassifier, loadWebModel } from './web/classifier.js'
export type { WebProgress } from './web/download.js'
export type { HubAccess } from './web/hub.js'
export type { ModelFormat } from './web/model.js'
export type {
  LoadWebClassifierOptions,
  LoadWebModelOptions,
  WebClassifier,
  WebClassifyOptions,
  WorkerChoice,
} from './web/options.js'
export { readWebImage, type WebPicture, type WebReadOptions } from './web/picture.js'

export type { ModelSource } from './web/source.js'
export {
  type BuildModelOptions,
  type BuiltModel,
  buildModel,
  type ModelOrigins,
} from './weights/build.js'
export type { IdleSettings } from './weights/config-said.js'
export type { Origin } from './weights/heads.js'
export { parseSafetensors, writeSafetensors } from './weights/safetensors.js'
export type { StateDict, WeightTensor } from './weights/state.js'

/**
 * idlevit for Node: everything of `idlevit`, with files, the hub, pictures and onnxruntime-node.
 *
 * @module
 */

export type { BenchmarkRequest } from './bench/entries.js'
export { type BenchmarkReport, type BenchmarkRow, benchmark } from './bench/models.js'
export type { Dataset, Sample } from './data/dataset.js'
export { type Decoder, startDecoders } from './data/decoder.js'
export type { LeftOut } from './data/left-out.js'
export { type Batch, type LoaderOptions, loadBatches } from './data/loader.js'
export { openDataset } from './data/open.js'
export type { Comparison, NeighbourAgreement, Spread } from './embed/compare.js'
export { type EmbedOptions, type EmbedReport, embedPictures, type FeatureOptions } from './embed/embed.js'
export { confidencesOn } from './evaluation/confidences.js'
export { type EvaluationOptions, type EvaluationReport, evaluateClassifier } from './evaluation/evaluate.js'
export { saveCascade } from './export/cascade.js'
export { type ExportOptions, type ExportReport, exportModel } from './export/folder.js'
export { decodeImage } from './images/decode.js'
export type { ReadOptions } from './images/fetch.js'
export type { PictureInput } from './images/input.js'
export type { PixelData } from './images/pixels.js'
export { readImage } from './images/read.js'
export type {
  BlockSelection,
  BuildModelOptions,
  BuildOptions,
  BuiltModel,
  Classifier,
  ClassifierOptions,
  Device,
  ForwardResult,
  KeepRequest,
  Method,
  MethodName,
  Model,
  ModelCost,
  Precision,
  Prediction,
  Preprocess,
  ReductionPlan,
  ReductionRequest,
  RgbImage,
  Scene,
  Score,
  Session,
  SessionOptions,
  StateDict,
  VitConfig,
} from './index.js'
export {
  buildGraph,
  buildModel,
  encodeOnnx,
  InputError,
  imagenetLabels,
  imagenetPreprocess,
  methodNames,
  modelCost,
  normalise,
  openClassifier,
  openSession,
  parseSafetensors,
  planKeep,
  planReduction,
  preprocessImage,
  presets,
  resizeCrop,
  scene,
  sceneClasses,
  sceneMask,
  sceneSeeds,
  shapeOf,
  stageRatios,
  topPredictions,
  writeSafetensors,
} from './index.js'
export { exitShares, findThresholds } from './models/exits.js'
export { createSession, openNodeClassifier, throughputLanes } from './runtime/node.js'
export {
  type ClassifyOptions,
  type EmbedPictureOptions,
  type LoadClassifierOptions,
  loadClassifier,
  type PictureClassifier,
} from './runtime/pictures.js'
export { type Pool, poolFeatures, type RowLayout } from './runtime/pool.js'
export { type Check, type Verification, verify } from './verify/verify.js'
export { readCheckpoint } from './weights/checkpoint.js'
export { type LoadedModel, type LoadOptions, loadModel } from './weights/load.js'

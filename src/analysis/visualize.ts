/** Looks at pictures through a model and draws what its tokens do: the library behind `idlevit visualize`. */

import { normalise, type Preprocess, preprocessOf } from '../images/preprocess.js'
import { shapeOf } from '../models/backbone.js'
import { modelCost } from '../models/cost.js'
import { tokensByBlock } from '../reduction/method.js'
import { methodOf, type ReductionPlan } from '../reduction/registry.js'
import type { ClassifierOptions, Model } from '../runtime/classifier.js'
import { createSession } from '../runtime/node.js'
import type { FolderFiles } from './folder.js'
import { openInspector } from './inspect.js'
import type { Inspected, Left, Setting } from './setting.js'
import { drawVisualization } from './visualization.js'

/** A picture as the model sees it: 8-bit RGB `[height, width, 3]`, resized and cropped. */
export interface NamedPicture {
  readonly name: string
  readonly rgb: Uint8Array
}

export interface InspectOptions extends ClassifierOptions {
  /** How pixels are normalised; default: as the model was trained, else ImageNet's way. */
  readonly preprocess?: Preprocess
  readonly onWarning?: (message: string) => void
  /** Called after each picture. */
  readonly onPicture?: (done: number, name: string) => void
}

/**
 * Runs pictures through the dense and the idle model.
 *
 * @throws InputError on keep ratios out of range, and what reading the pictures throws
 */
export async function inspectPictures(
  model: Model,
  pictures: Iterable<NamedPicture> | AsyncIterable<NamedPicture>,
  options: InspectOptions,
): Promise<{ readonly setting: Setting; readonly inspected: readonly Inspected[] }> {
  const { imageSize, imageHeight } = model.config
  const { preprocess = preprocessOf(model), onWarning, onPicture } = options
  const inspector = await openInspector(model, options, createSession)
  const inspected: Inspected[] = []
  try {
    for (const warning of inspector.warnings) onWarning?.(warning)
    for await (const { name, rgb } of pictures) {
      inspected.push({ name, rgb, inspection: await inspector.inspect(normalise(rgb, preprocess)) })
      onPicture?.(inspected.length, name)
    }
  } finally {
    await inspector.close()
  }
  const { keep } = inspector
  const cost = modelCost(model.config, inspector)
  const shape = shapeOf(model.config)
  const setting = {
    model: model.name,
    method: inspector.method,
    summary: methodOf(inspector.method).summary,
    imageSize,
    ...(imageHeight !== undefined && { imageHeight }),
    keep,
    tokens: shape.tokens,
    classToken: shape.classToken ?? true,
    ...(shape.stages && { maps: tokensByBlock(shape), left: leftOf(inspector) }),
    gmacs: { dense: cost.denseMacs / 1e9, idle: cost.macs / 1e9 },
  }
  return { setting, inspected }
}

/** What tokens of a pyramid do that are not selected. */
function leftOf({ method, variant, dead }: ReductionPlan): Left {
  if (method === 'dynamicswin') return 'light'
  return dead ? 'dead' : variant === 'ffn' ? 'ffn' : 'block'
}

/**
 * Runs pictures through the dense and the idle model and draws the page with its figures.
 *
 * @returns the files of the folder, `index.html` among them
 * @throws InputError as {@link inspectPictures}
 */
export async function visualizePictures(
  model: Model,
  pictures: Iterable<NamedPicture> | AsyncIterable<NamedPicture>,
  options: InspectOptions & { readonly onDrawn?: (done: number) => void },
): Promise<FolderFiles> {
  const { setting, inspected } = await inspectPictures(model, pictures, options)
  return drawVisualization(setting, inspected, options.onDrawn)
}

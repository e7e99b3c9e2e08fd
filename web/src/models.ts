/** Models from wherever they are: beside the page, on the hub, or in files that somebody picked. */

import { type BuiltModel, InputError, imagenetLabels, loadWebModel, shapeOf } from 'idlevit'
import type { Progress, Source } from './messages.js'

/** Reads and checks a model. */
export async function readModel(
  source: Source,
  tell: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<BuiltModel> {
  const model = await loadWebModel(source.kind === 'files' ? source.files : source.address, {
    signal,
    onProgress: ({ file, bytes, total, cached }) =>
      tell({
        text: cached ? `${file} from this browser's cache` : `Fetching ${file}`,
        loaded: bytes,
        ...(total !== undefined && { total }),
      }),
    ...(source.kind === 'demo' && { cache: false }), // the service worker keeps it
  })
  const objection = objectionTo(model)
  if (objection !== undefined) throw new InputError(`${model.name} ${objection}`)
  if (model.labels || model.config.classes !== imagenetLabels.length) return model
  return { ...model, labels: imagenetLabels }
}

/** Why a model that runs elsewhere cannot be shown here; undefined when it can. */
function objectionTo({ config }: BuiltModel): string | undefined {
  const { imageSize, imageHeight = imageSize, classes, cascade } = config
  if (shapeOf(config).stages)
    return 'is a Swin, whose patches merge from stage to stage: the playground follows patches of one size, as a ViT has them'
  if (cascade) return 'is a cascade of several nets (DVT): the playground shows one net'
  if (classes === 0) return 'has no classification head: idlevit finetune gives it one (--head new)'
  if (imageHeight !== imageSize)
    return `looks at ${imageSize} × ${imageHeight} pixels: the playground shows square pictures`
  return undefined
}

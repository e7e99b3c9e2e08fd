/** Models from wherever they are: beside the page, on the hub, or in files that somebody picked. */

import { type BuiltModel, imagenetLabels, loadWebModel } from 'idlevit'
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
  if (model.labels || model.config.classes !== imagenetLabels.length) return model
  return { ...model, labels: imagenetLabels }
}

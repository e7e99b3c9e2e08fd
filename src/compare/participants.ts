/** Models that are compared must read the same pictures and know their classes. */

import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { inModelClasses } from '../data/classes.js'
import type { Dataset } from '../data/dataset.js'
import { fail } from '../errors.js'
import { describePreprocess, type Preprocess } from '../images/preprocess.js'
import type { Common } from '../kept.js'
import type { LoadedModel } from '../weights/load.js'
import { storedReduction } from './methods.js'
import type { Participant } from './rows.js'

export type Participants = readonly [Participant, ...Participant[]]

/** A loaded model and how its pictures are made. */
export interface Entrant {
  readonly model: LoadedModel
  readonly preprocess: Preprocess
}

/**
 * Lets models take part in a comparison on labelled pictures.
 *
 * @param warn - told where the models' classes or the data's are not plainly the same
 * @throws InputError where a model makes its pictures otherwise than the first, or does not know the data's classes
 */
export function participantsOf(
  [first, ...others]: readonly [Entrant, ...Entrant[]],
  data: Dataset,
  warn: (message: string) => void,
): Participants {
  const take = ({ model, preprocess }: Entrant): Participant => {
    const stored = storedReduction(model)
    const [found, wanted] = [preprocess, first.preprocess].map(describePreprocess)
    if (!samePictures(preprocess, first.preprocess))
      fail(
        `--model ${model.name}: wanted pictures as ${first.model.name} takes them (${wanted}), found ${found}; ` +
          '--resize, --crop, --mean and --std settle it for all',
      )
    const { classes } = model.config
    if (classes !== first.model.config.classes)
      warn(`${model.name} chooses among ${classes} classes, ${first.model.name} among ${first.model.config.classes}`)
    const { samples, warnings = [] } = inModelClasses(data, { ...model, classes })
    for (const warning of warnings) if (!data.warnings?.includes(warning)) warn(warning)
    return { model, labels: Int32Array.from(samples, ({ label }) => label), ...(stored && { stored }) }
  }
  return [take(first), ...others.map(take)]
}

const samePictures = (a: Preprocess, b: Preprocess): boolean => {
  const plain = (each: Preprocess) => ({ mode: 'center', interpolation: 'bicubic', ...each })
  return isDeepStrictEqual(plain(a), plain(b))
}

/** What the answers of all rows of a comparison have in common: the pictures, and how they are asked about. */
export function commonOf(
  { name, samples }: Dataset,
  how: { readonly limit: number; readonly preprocess: Preprocess; readonly batch: number; readonly device?: string },
): Common {
  const hash = createHash('sha256')
  for (const sample of samples.slice(0, how.limit)) hash.update(`${sample.name}\n`)
  const { limit, preprocess, batch, device = 'cpu' } = how
  return { data: name, images: limit, names: hash.digest('hex').slice(0, 16), preprocess, batch, device }
}

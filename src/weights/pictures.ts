/**
 * How a loaded model's pictures are made, and who says so. Safe in browsers.
 *
 * The statistics belong to the weights. In this order: what the caller says; the `idlevit` field of a folder of this
 * project; the recipe of published weights whose own file contradicts them; timm's `pretrained_cfg`; Hugging Face's
 * preprocessor_config.json; LV-ViT's recipe for models of its kind; ImageNet's statistics, which is a guess.
 */
import { InputError } from '../errors.js'
import {
  cropSides,
  imagenetPreprocess,
  overridePreprocess,
  type Preprocess,
  preprocessAt,
  sizesFor,
} from '../images/preprocess.js'
import { type Sides, sidesOf } from '../images/sides.js'
import { pictureSize, type VitConfig } from '../models/config.js'
import type { ModelConfigFile } from './config-said.js'
import type { Origin } from './heads.js'
import { readInputSize, readPreprocessor, readPretrained } from './preprocessor-file.js'

/** Where preprocessing may come from. */
export interface PictureClues {
  /** Said by the caller; what is left out is as found. */
  readonly given?: Partial<Preprocess> | undefined
  readonly config?: ModelConfigFile | undefined
  /** A parsed preprocessor_config.json, and what it is called. */
  readonly preprocessor?: { readonly json: unknown; readonly source: string } | undefined
  /** The hub id of the weights. */
  readonly id?: string | undefined
}

/** Preprocessing for the size a model runs at. */
export interface FoundPreprocess extends Origin {
  readonly preprocess: Preprocess
  readonly warnings: readonly string[]
}

/**
 * Finds the preprocessing.
 *
 * @param native - sizes of the model as its weights have them
 * @param size - the pictures it runs at: the crop's share of the resized picture stays
 * @throws InputError when what is said cannot be meant, or cannot be carried out exactly
 */
export function findPreprocess(native: VitConfig, size: Sides, clues: PictureClues): FoundPreprocess {
  const { given: { cropHeight: _, ...given } = {} } = clues
  const [height, width] = sidesOf(size)
  const overrides = { ...given, crop: width, ...(height !== width && { cropHeight: height }) }
  const found = sourceOr(native, clues, (error) => {
    const { mean, std, resize } = given
    if (mean && std && resize !== undefined) return { at: imagenetPreprocess, side: pictureSize(native), source: '' }
    throw new InputError(`${error.message} (mean, std and resize by hand replace what it says)`)
  })
  const { at, side, source, guessed = false } = found
  const preprocess = overridePreprocess(at(size), overrides)
  const warnings =
    sizeText(side) === sizeText(pictureSize(native))
      ? []
      : [
          `${source} is for pictures of ${sizeText(side)} pixels, the weights for ${sizeText(pictureSize(native))}: resized in proportion`,
        ]
  const named = overridable.filter((name) => given[name] !== undefined)
  if (named.length === 0) return { preprocess, source, guessed, warnings }
  if (source === '' || (guessed && named.includes('mean') && named.includes('std')))
    return { preprocess, source: `${named.join(', ')} as given`, guessed: false, warnings }
  return { preprocess, source: `${source}, with ${named.join(', ')} as given`, guessed, warnings }
}

/** A size for people: the side of a square, else height x width. */
function sizeText(size: Sides): string {
  const [height, width] = sidesOf(size)
  return height === width ? `${height}` : `${height} x ${width}`
}

/** What a caller may say otherwise besides the crop, which is the model's picture side. */
const overridable = ['mean', 'std', 'resize', 'mode', 'interpolation'] as const

/** Who says it; `otherwise` when a file is in the way that says what cannot be done. */
function sourceOr(native: VitConfig, clues: PictureClues, otherwise: (error: InputError) => Source): Source {
  try {
    const source = findSource(native, clues)
    source.at(pictureSize(native))
    return source
  } catch (error) {
    if (error instanceof InputError) return otherwise(error)
    throw error
  }
}

/** One way of saying it, for any picture side. */
interface Source {
  readonly at: (size: Sides) => Preprocess
  /** The pictures it was said for. */
  readonly side: Sides
  readonly source: string
  readonly guessed?: boolean
}

const fixed = (preprocess: Preprocess): Pick<Source, 'at' | 'side'> => ({
  at: (size) => preprocessAt(preprocess, size),
  side: cropSides(preprocess),
})

function findSource(native: VitConfig, { config, preprocessor, id }: PictureClues): Source {
  if (config?.preprocess) return { ...fixed(config.preprocess), source: `${config.source} (idlevit.preprocess)` }
  if (!config?.pretrained && isDeit(id, native))
    return { at: deitPreprocess, side: pictureSize(native), source: deitSource }
  if (config?.pretrained) {
    const { pretrained, source } = config
    const side = readInputSize(pretrained, source)
    return { at: (size) => readPretrained(pretrained, source, size), side, source: `${source} (pretrained_cfg)` }
  }
  if (preprocessor)
    return { ...fixed(readPreprocessor(preprocessor.json, preprocessor.source)), source: preprocessor.source }
  if (native.stem !== undefined)
    return { at: (size) => lvvitPreprocess(size, native), side: pictureSize(native), source: lvvitSource }
  if (native.tokensToToken)
    return { at: t2tPreprocess, side: pictureSize(native), source: "T2T-ViT's own recipe (crop_pct)" }
  return {
    at: imagenetPreprocess,
    side: pictureSize(native),
    source: "a guess, ImageNet's statistics: no file beside the weights says it",
    guessed: true,
  }
}

/** Token widths of the weights under `facebook/`. */
const deitWidths: Readonly<Record<string, number>> = { tiny: 192, small: 384, base: 768 }

/**
 * Whether these are DeiT's published weights, by the hub id. Their preprocessor_config.json says mean = std = 0.5 and a
 * straight resize to 224 (plain ones), or a resize to the size of the crop (distilled ones); they were trained and
 * evaluated with ImageNet's statistics and a crop of 0.875 (facebookresearch/deit, datasets.py;
 * hila-chefer/Transformer-Explainability#73).
 */
function isDeit(id: string | undefined, { width, classes }: VitConfig): boolean {
  const [, size = ''] = /^facebook\/deit-(tiny|small|base)(?:-distilled)?-patch16-(?:224|384)$/.exec(id ?? '') ?? []
  return deitWidths[size] === width && classes === 1000
}

/** The recipe of DeiT: `int(256 / 224 · size)` for the shorter side. */
export const deitPreprocess = (size: Sides): Preprocess => ({
  ...imagenetPreprocess(size),
  ...sizesFor(size, (side) => Math.floor(side / 0.875)),
})

/** Who says it. */
export const deitSource = "DeiT's own recipe; the preprocessor_config.json of facebook/deit-* contradicts its weights"

/** The recipe of LV-ViT: the crop is 0.9 of the shorter side in its two smaller models, all of it in the others. */
export const lvvitPreprocess = (size: Sides, { width }: Pick<VitConfig, 'width'>): Preprocess => ({
  ...imagenetPreprocess(size),
  ...sizesFor(size, (side) => Math.floor(side / (width < 512 ? 0.9 : 1))),
})

/** The recipe of T2T-ViT: the crop is 0.9 of the shorter side. */
export const t2tPreprocess = (size: Sides): Preprocess => ({
  ...imagenetPreprocess(size),
  ...sizesFor(size, (side) => Math.floor(side / 0.9)),
})

/** Who says it. */
const lvvitSource = "LV-ViT's own recipe (crop_pct)"

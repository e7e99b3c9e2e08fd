/**
 * How pictures are made, as the files of other libraries say it: Hugging Face's preprocessor_config.json (transformers,
 * image_processing_vit.py and its neighbours) and timm's `pretrained_cfg` (timm/data/config.py, transforms_factory.py).
 *
 * What they ask for is done exactly or refused by the field's name. A `size` that is one number is a square to the
 * processors of ViT and DeiT, which do not keep the aspect, and the shortest edge to those that do. Safe in browsers.
 */
import { fail } from '../errors.js'
import {
  checkPreprocess,
  imagenetPreprocess,
  type PerChannel,
  type Preprocess,
  sizesFor,
} from '../images/preprocess.js'
import { type Interpolation, interpolationNames } from '../images/resample.js'
import { type Sides, sidesOf } from '../images/sides.js'
import { type Fields, fieldsOf, isObject, type JsonObject, quoted } from './json.js'

/** PIL's numbers of resampling, from 0. */
export const resampleNumbers = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'] as const

/** A processor's settings where its file is silent. */
interface Processor {
  /** Whether one number is the shortest edge; else it is the side of a square. */
  readonly keepsAspect?: true
  readonly size: number
  readonly crop?: number
  readonly resample: Interpolation
  readonly mean: PerChannel
  readonly std: PerChannel
}

const half = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const
const clip = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] } as const

/** Processors by the first part of their name. */
const processors: Readonly<Record<string, Processor>> = {
  ViT: { size: 224, resample: 'bilinear', ...half },
  DeiT: { size: 256, crop: 224, resample: 'bicubic', ...half },
  Beit: { size: 256, crop: 224, resample: 'bicubic', ...half },
  Siglip: { size: 224, resample: 'bicubic', ...half },
  DINOv3ViT: { size: 224, resample: 'bilinear', mean: imagenetPreprocess().mean, std: imagenetPreprocess().std },
  CLIP: { keepsAspect: true, size: 224, crop: 224, resample: 'bicubic', ...clip },
  Bit: { keepsAspect: true, size: 224, crop: 224, resample: 'bicubic', ...clip },
  ConvNext: { keepsAspect: true, size: 384, resample: 'bilinear', ...half },
}

/** Steps that are read below, and those that leave an RGB picture as it is. */
const steps = ['do_resize', 'do_center_crop', 'do_rescale', 'do_normalize', 'do_convert_rgb', 'do_reduce_labels']

/**
 * Reads a parsed preprocessor_config.json.
 *
 * @param source - what to call it in messages
 * @throws InputError that names the field that cannot be carried out, or holds nonsense
 */
export function readPreprocessor(json: unknown, source: string): Preprocess {
  if (!isObject(json)) return fail(`${source}: not a JSON object`)
  const field = fieldsOf(json, source)
  if (isObject(json.pretrained_cfg)) return readPretrained(json.pretrained_cfg, source)
  for (const name of Object.keys(json))
    if (/^do_/.test(name) && json[name] === true && !steps.includes(name))
      fail(`${source}: ${name} is true, which is not known here`)
  for (const name of ['rescale_offset', 'offset']) field.only(name, [false])
  const type = field.text('image_processor_type') ?? field.text('feature_extractor_type') ?? 'ViT'
  const processor =
    processors[type.replace(/(FeatureExtractor|ImageProcessor)(Fast|Pil)?$/, '')] ??
    fail(
      `${source}: image_processor_type should be one of ${Object.keys(processors).join(', ')}, found ${quoted(type)}`,
    )
  const geometry = type.startsWith('ConvNext')
    ? readCropShare(json, field, processor)
    : readGeometry(json, field, processor)
  const preprocess = {
    ...geometry,
    ...readStatistics(json, field, processor, source),
    ...interpolationOf(readResample(json, field) ?? processor.resample),
  }
  return checkPreprocess(preprocess, `${source}: `)
}

/** A size as it is written: a number, `{ shortest_edge }` or `{ height, width }`, of which a rectangle keeps no aspect. */
function readSize(
  value: unknown,
  wrong: () => never,
  keepsAspect: boolean,
): { side: Sides; mode: 'center' | 'squash' } {
  const side = (pixels: unknown): number =>
    typeof pixels === 'number' && Number.isInteger(pixels) && pixels > 0 ? pixels : wrong()
  if (!isObject(value)) return { side: side(value), mode: keepsAspect ? 'center' : 'squash' }
  const { shortest_edge, height, width, ...others } = value
  // null is how the absent edge is sometimes written
  if (Object.values(others).some((other) => other !== null)) return wrong()
  if (height === undefined && width === undefined) return { side: side(shortest_edge), mode: 'center' }
  if (shortest_edge !== undefined) return wrong()
  return { side: height === width ? side(height) : [side(height), side(width)], mode: 'squash' }
}

type Geometry = Pick<Preprocess, 'resize' | 'crop' | 'resizeHeight' | 'cropHeight' | 'mode'>

function readGeometry(json: JsonObject, field: Fields, processor: Processor): Geometry {
  field.only('do_resize', [true])
  field.only('crop_pct', [])
  const { side: resize, mode } = readSize(
    json.size ?? processor.size,
    () => field.wrong('size', 'one side, a height and a width, or the shortest edge'),
    processor.keepsAspect ?? false,
  )
  const crops = field.flag('do_center_crop') ?? processor.crop !== undefined
  if (!crops && mode === 'center')
    field.wrong('do_center_crop', 'true where the aspect is kept: pictures here have one size')
  if (!crops) return { ...geometryOf(resize, resize), mode }
  const wrong = () => field.wrong('crop_size', 'one side, or a height and a width')
  const { side: crop } = readSize(json.crop_size ?? processor.crop ?? wrong(), wrong, false)
  if (typeof crop !== 'number' && mode === 'center')
    field.wrong('crop_size', 'a square where the aspect is kept: what is cropped may be too small for a rectangle')
  return { ...geometryOf(resize, crop), ...(mode === 'squash' && { mode }) }
}

/** Sizes before and after the crop. */
function geometryOf(resize: Sides, crop: Sides): Geometry {
  const resized = sidesOf(resize)
  if (typeof resize === 'number' && typeof crop === 'number') return { resize, crop }
  return sizesFor(crop, (_, axis) => resized[axis])
}

/** ConvNeXT's: below 384 the crop is `crop_pct` of the resized picture, from there on the picture is squashed. */
function readCropShare(json: JsonObject, field: Fields, processor: Processor): Geometry {
  field.only('do_resize', [true])
  field.only('do_center_crop', [false])
  const wrong = () => field.wrong('size', 'the shortest edge')
  const { side: crop, mode } = readSize(json.size ?? processor.size, wrong, true)
  if (mode === 'squash' || typeof crop !== 'number') return wrong()
  const share = readShare(field) ?? 0.875
  return crop < 384 ? { resize: Math.trunc(crop / share), crop } : { resize: crop, crop, mode: 'squash' }
}

/** `crop_pct`, the crop's share of the resized picture. */
function readShare(field: Fields): number | undefined {
  return field.number('crop_pct', 'a share above 0 and at most 1, as in 0.875', (value) => value > 0 && value <= 1)
}

function readResample(json: JsonObject, field: Fields): Interpolation | undefined {
  if (json.resample === undefined || json.resample === null) return undefined
  const name = resampleNumbers[json.resample as number]
  return interpolationNames.find((known) => known === name) ?? field.wrong('resample', 'a number from 1 to 5')
}

const interpolationOf = (interpolation: Interpolation) => (interpolation === 'bicubic' ? {} : { interpolation })

const isPerChannel = (value: unknown): value is PerChannel =>
  Array.isArray(value) && value.length === 3 && value.every((each) => Number.isFinite(each))

/** Mean and deviation of values from 0 to 1, whatever the values are that the file is about. */
function readStatistics(
  json: JsonObject,
  field: Fields,
  processor: Processor,
  source: string,
): Pick<Preprocess, 'mean' | 'std'> {
  const channels = (name: 'image_mean' | 'image_std', otherwise: PerChannel): PerChannel => {
    const value = json[name] ?? otherwise
    if (typeof value === 'number') return [value, value, value]
    return isPerChannel(value) ? value : field.wrong(name, 'a number for each of three channels')
  }
  const normalises = field.flag('do_normalize') ?? true
  const mean = normalises ? channels('image_mean', processor.mean) : ([0, 0, 0] as const)
  const std = normalises ? channels('image_std', processor.std) : ([1, 1, 1] as const)
  const factor = field.number('rescale_factor', 'a number above 0', (value) => value > 0) ?? 1 / 255
  // Pictures of 8 bits times `scale` are what mean and std are about; ours are theirs over 255.
  const scale = 255 * ((field.flag('do_rescale') ?? true) ? factor : 1)
  if (Math.abs(scale - 1) < 1e-6) return { mean, std }
  if (normalises && scale > 100 && mean.every((value) => value <= 1) && mean.some((value) => value > 0))
    fail(
      `${source}: image_mean ${mean.join()} is of values from 0 to 1, but do_rescale and rescale_factor leave 0 to ${Math.round(scale)}`,
    )
  const scaled = (values: PerChannel) => values.map((value) => value / scale) as unknown as PerChannel
  return { mean: scaled(mean), std: scaled(std) }
}

/**
 * timm's `pretrained_cfg`: the evaluation transform, with the resize worked out for the picture side.
 *
 * Of rectangles the resize covers `crop_pct` of both sides; timm gives it no kernel then, so that its default is taken, which
 * is bilinear (transforms_factory.py, ResizeKeepRatio).
 *
 * @param size - the picture size; default `input_size`
 * @throws InputError that names the field that cannot be carried out, or holds nonsense
 */
export function readPretrained(
  pretrained: JsonObject,
  source: string,
  size: Sides = readInputSize(pretrained, source),
): Preprocess {
  const field = fieldsOf(pretrained, source, 'pretrained_cfg.')
  const { mean, std, interpolation = 'bicubic' } = pretrained
  const statistics = imagenetPreprocess()
  for (const [name, value] of Object.entries({ mean, std }))
    if (value !== undefined && value !== null && !isPerChannel(value)) field.wrong(name, 'three numbers')
  const kernel = interpolationNames.find((known) => known === interpolation)
  if (!kernel) field.wrong('interpolation', interpolationNames.join(', '))
  field.only('crop_mode', ['center', 'squash'])
  const mode = field.text('crop_mode') === 'squash' ? ({ mode: 'squash' } as const) : {}
  const share = readShare(field) ?? 0.875
  const sizes = sizesFor(size, (side) => Math.floor(side / share))
  const covered = 'cropHeight' in sizes && !('mode' in mode)
  const preprocess = {
    ...sizes,
    mean: (mean as PerChannel | undefined) ?? statistics.mean,
    std: (std as PerChannel | undefined) ?? statistics.std,
    ...mode,
    ...interpolationOf(covered ? 'bilinear' : (kernel as Interpolation)),
  }
  return checkPreprocess(preprocess, `${source}: pretrained_cfg.`)
}

/** The pictures of `input_size`, [channels, height, width]; 224 where it is not said, as in timm. */
export function readInputSize(pretrained: JsonObject, source: string): Sides {
  const { input_size: size = [3, 224, 224] } = pretrained
  const [channels, height, width] = Array.isArray(size) ? (size as unknown[]) : []
  const good = (side: unknown): side is number => typeof side === 'number' && Number.isInteger(side) && side > 0
  if (channels === 3 && good(height) && good(width)) return height === width ? height : [height, width]
  return fieldsOf(pretrained, source, 'pretrained_cfg.').wrong('input_size', '[3, height, width]')
}

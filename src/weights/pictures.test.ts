import assert from 'node:assert/strict'
import { test } from 'node:test'
import { preprocessorConfigJson } from '../export/preprocessor.js'
import { imagenetPreprocess, type Preprocess } from '../images/preprocess.js'
import type { VitConfig } from '../models/config.js'
import { presets } from '../models/presets.js'
import { readModelConfig } from './config-file.js'
import { findPreprocess, type PictureClues } from './pictures.js'
import { readPreprocessor } from './preprocessor-file.js'

const deit = (size: string, imageSize = 224): VitConfig => ({
  ...(presets[`deit-${size}`]?.config ?? assert.fail(size)),
  imageSize,
})
const half = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const
const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const

/** What `google/vit-base-patch16-224` has, and `facebook/deit-*-patch16-224` in its first form. */
const straight = { do_normalize: true, do_resize: true, image_mean: half.mean, image_std: half.std, size: 224 }
const straightly = { resize: 224, crop: 224, ...half, mode: 'squash', interpolation: 'bilinear' } as const

const timm = (pretrained: object) =>
  readModelConfig({ architecture: 'vit_base_patch16_224', pretrained_cfg: pretrained }, 'c.json')
const augreg = { input_size: [3, 224, 224], interpolation: 'bicubic', crop_pct: 0.9, crop_mode: 'center', ...half }

const find = (clues: PictureClues, native = deit('base'), imageSize = native.imageSize) =>
  findPreprocess(native, imageSize, clues)
const preprocessor = (json: unknown) => ({ preprocessor: { json, source: 'p.json' } })

test('LV-ViT: its own recipe, of which the two smaller models crop 0.9', () => {
  const sides = (name: string, imageSize?: number) => {
    const { preprocess, guessed } = find({}, presets[name]?.config ?? assert.fail(name), imageSize)
    return [preprocess.resize, preprocess.crop, guessed]
  }
  assert.deepEqual(
    [sides('lvvit-t'), sides('lvvit-s'), sides('lvvit-m'), sides('lvvit-s', 384)],
    [
      [248, 224, false],
      [248, 224, false],
      [224, 224, false],
      [426, 384, false],
    ],
  )
})

test('Hugging Face: what its processors of ViT, DeiT, CLIP and ConvNeXT do', () => {
  const cases: readonly [file: object, expected: Preprocess][] = [
    [straight, straightly],
    [
      { ...straight, image_processor_type: 'ViTImageProcessor', size: { height: 224, width: 224 }, resample: 3 },
      { resize: 224, crop: 224, ...half, mode: 'squash' },
    ],
    [{ image_processor_type: 'ViTImageProcessorFast' }, straightly],
    [
      {
        feature_extractor_type: 'DeiTFeatureExtractor',
        size: 256,
        crop_size: 224,
        resample: 3,
        image_mean: imagenet.mean,
        image_std: imagenet.std,
      },
      { resize: 256, crop: 224, ...imagenet, mode: 'squash' },
    ],
    [
      { feature_extractor_type: 'DeiTFeatureExtractor', size: { shortest_edge: 256 }, image_mean: 0.5, image_std: 0.5 },
      { resize: 256, crop: 224, ...half },
    ],
    [
      {
        image_processor_type: 'CLIPImageProcessor',
        size: 240,
        crop_size: { height: 224, width: 224 },
        image_mean: half.mean,
        image_std: half.std,
        do_convert_rgb: true,
      },
      { resize: 240, crop: 224, ...half },
    ],
    [
      { image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 224 }, crop_pct: 0.875 },
      { resize: 256, crop: 224, ...half, interpolation: 'bilinear' },
    ],
    [
      { image_processor_type: 'ConvNextImageProcessor', crop_pct: 0.875 },
      { resize: 384, crop: 384, ...half, mode: 'squash', interpolation: 'bilinear' },
    ],
    // No normalisation; the same in values from 0 to 255; values from 0 to 2.
    [
      { ...straight, do_normalize: false },
      { ...straightly, mean: [0, 0, 0], std: [1, 1, 1] },
    ],
    [
      { ...straight, do_rescale: false, image_mean: [127.5, 127.5, 127.5], image_std: [127.5, 127.5, 127.5] },
      straightly,
    ],
    [{ ...straight, rescale_factor: 1 / 127.5, image_mean: [1, 1, 1], image_std: [1, 1, 1] }, straightly],
    [
      { image_processor_type: 'TimmWrapperImageProcessor', pretrained_cfg: augreg },
      { resize: 248, crop: 224, ...half },
    ],
  ]
  for (const [file, expected] of cases)
    assert.deepEqual(readPreprocessor(file, 'p.json'), expected, JSON.stringify(file))
})

test('Hugging Face: what cannot be done exactly, or meant, is refused by the field', () => {
  const cases: readonly [file: object, reason: RegExp][] = [
    [{ ...straight, resample: 0 }, /p\.json: resample should be a number from 1 to 5, found 0$/],
    [{ ...straight, do_resize: false }, /do_resize should be true, found false/],
    [
      { ...straight, size: { height: 0, width: 256 } },
      /size should be one side, a height and a width, or the shortest edge/,
    ],
    [{ ...straight, size: { longest_edge: 224 } }, /size should be/],
    [{ ...straight, size: { shortest_edge: 224 } }, /do_center_crop should be true where the aspect is kept/],
    [{ ...straight, do_pad: true }, /do_pad is true, which is not known here/],
    [{ ...straight, crop_pct: 0.9 }, /crop_pct should be/],
    [
      { ...straight, do_center_crop: true, crop_size: 256 },
      /resize: wanted at least 256, the side of the crop, found 224/,
    ],
    [{ ...straight, rescale_offset: true }, /rescale_offset should be false, found true/],
    [{ ...straight, do_rescale: false }, /image_mean 0\.5,0\.5,0\.5 is of values from 0 to 1, but do_rescale/],
    [
      { ...straight, image_mean: [123.675, 116.28, 103.53] },
      /123\.675\/255 = 0\.485, so 0\.485,0\.456,0\.406 was probably meant/,
    ],
    [{ ...straight, image_std: [0, 1, 1] }, /std: wanted deviations/],
    [{ ...straight, image_mean: [0.5] }, /image_mean should be a number for each of three channels, found \[0\.5\]/],
    [
      { ...straight, image_processor_type: 'MobileNetV2ImageProcessor' },
      /image_processor_type should be one of ViT, DeiT, /,
    ],
    [
      { image_processor_type: 'ConvNextImageProcessor', crop_pct: 87.5 },
      /crop_pct should be a share above 0 and at most 1/,
    ],
  ]
  for (const [file, reason] of cases)
    assert.throws(() => readPreprocessor(file, 'p.json'), reason, JSON.stringify(file))
})

test('timm: pretrained_cfg, at any picture side', () => {
  assert.deepEqual(find({ config: timm(augreg) }).preprocess, { resize: 248, crop: 224, ...half })
  assert.deepEqual(find({ config: timm({}) }).preprocess, imagenetPreprocess())
  assert.deepEqual(
    find({ config: timm({ ...augreg, crop_pct: 1, crop_mode: 'squash', interpolation: 'lanczos' }) }).preprocess,
    {
      ...{ resize: 224, crop: 224, ...half, mode: 'squash' },
      interpolation: 'lanczos',
    },
  )
  // floor(384 / 0.9), as timm has it
  assert.deepEqual(find({ config: timm(augreg) }, deit('base'), 384).preprocess, { resize: 426, crop: 384, ...half })
  const stale = find({ config: timm(augreg) }, deit('base', 384))
  assert.equal(stale.preprocess.resize, 426)
  assert.deepEqual(stale.warnings, [
    'c.json (pretrained_cfg) is for pictures of 224 pixels, the weights for 384: resized in proportion',
  ])
  // The old form, without pretrained_cfg.
  const old = readModelConfig({ architecture: 'vit_base_patch16_224', ...augreg }, 'c.json')
  assert.deepEqual(find({ config: old }).preprocess, { resize: 248, crop: 224, ...half })
  for (const [change, reason] of [
    [{ crop_mode: 'border' }, /pretrained_cfg\.crop_mode should be "center" or "squash", found "border"/],
    [{ interpolation: 'random' }, /pretrained_cfg\.interpolation should be box, .* found "random"/],
    [{ crop_pct: 90 }, /pretrained_cfg\.crop_pct should be a share above 0 and at most 1, as in 0\.875, found 90/],
    [{ input_size: [3, 224, 0] }, /pretrained_cfg\.input_size should be \[3, height, width\], found \[3,224,0\]/],
    [{ mean: [127.5, 127.5, 127.5] }, /pretrained_cfg\.mean: .* so 0\.5,0\.5,0\.5 was probably meant/],
  ] as const)
    assert.throws(() => find({ config: timm({ ...augreg, ...change }) }), reason)
})

test('who is believed: the caller, our own field, the known contradiction, timm, Hugging Face, a guess', () => {
  const own = { resize: 300, crop: 224, ...imagenet }
  const config = { ...timm(augreg), preprocess: own }
  assert.deepEqual(find({ config, ...preprocessor(straight) }).preprocess, own)
  assert.equal(find({ config }).source, 'c.json (idlevit.preprocess)')
  assert.equal(find({ config: timm(augreg), ...preprocessor(straight) }).source, 'c.json (pretrained_cfg)')
  const guess = find({})
  assert.deepEqual([guess.preprocess, guess.guessed], [imagenetPreprocess(), true])
  assert.match(guess.source, /^a guess, ImageNet's statistics/)

  const given = find({ ...preprocessor(straight), given: { mean: imagenet.mean } })
  assert.deepEqual(given.preprocess, { ...straightly, mean: imagenet.mean })
  assert.equal(given.source, 'p.json, with mean as given')
  assert.deepEqual(
    [find({ given: imagenet }).source, find({ given: imagenet }).guessed, find({ given: { mean: half.mean } }).guessed],
    ['mean, std as given', false, true],
  )
  // A file that cannot be carried out does not stand in the way of who says it all by hand.
  const border = { config: timm({ ...augreg, crop_mode: 'border' }) }
  assert.throws(() => find({ ...border, given: imagenet }), /\(mean, std and resize by hand replace what it says\)$/)
  assert.deepEqual(find({ ...border, given: { ...imagenet, resize: 256 } }).preprocess, imagenetPreprocess())
  assert.throws(() => find({ given: { resize: 200 } }), /resize: wanted at least 224, the side of the crop, found 200/)
  assert.throws(() => find({ given: { mean: [127.5, 127.5, 127.5] } }), /so 0\.5,0\.5,0\.5 was probably meant/)
})

test("facebook's DeiT has its own recipe, google's ViT what its file says", () => {
  for (const size of ['tiny', 'small', 'base'])
    for (const [id, imageSize, resize] of [
      [`facebook/deit-${size}-patch16-224`, 224, 256],
      [`facebook/deit-${size}-distilled-patch16-224`, 224, 256],
      [`facebook/deit-${size}-patch16-384`, 384, 438],
    ] as const) {
      const { preprocess, source, guessed } = find({ ...preprocessor(straight), id }, deit(size, imageSize))
      assert.deepEqual(preprocess, { resize, crop: imageSize, ...imagenet })
      assert.match(source, /^DeiT's own recipe/)
      assert.equal(guessed, false)
    }
  const ids = [
    'google/vit-base-patch16-224',
    'someone/deit-base-patch16-224',
    'facebook/deit-tiny-patch16-224',
    undefined,
  ]
  for (const id of ids) assert.deepEqual(find({ ...preprocessor(straight), id }).preprocess, straightly)
  // Ten classes are somebody's own training.
  const own = { ...deit('base'), classes: 10 }
  assert.deepEqual(
    find({ ...preprocessor(straight), id: 'facebook/deit-base-patch16-224' }, own).preprocess,
    straightly,
  )
})

test('what export writes reads back the same', () => {
  for (const preprocess of [
    imagenetPreprocess(),
    straightly,
    { ...imagenetPreprocess(32), interpolation: 'lanczos' },
  ] as const)
    assert.deepEqual(
      readPreprocessor(JSON.parse(JSON.stringify(preprocessorConfigJson(preprocess))), 'p.json'),
      preprocess,
    )
})

test('rectangles: what timm and Hugging Face say of them, at any picture size', () => {
  const rectangle = { ...presets['deit-tiny']?.config, imageSize: 128, imageHeight: 384 } as VitConfig
  const timm = { architecture: 'vit_small', pretrained_cfg: { ...augreg, input_size: [3, 384, 128] } }
  const config = readModelConfig(timm, 'c.json')
  // timm gives the resize of a rectangle no kernel: its default is bilinear.
  const wanted = { resize: 142, resizeHeight: 426, crop: 128, cropHeight: 384, ...half, interpolation: 'bilinear' }
  assert.deepEqual(findPreprocess(rectangle, [384, 128], { config }).preprocess, wanted)
  const half192 = { ...wanted, resize: 71, resizeHeight: 213, crop: 64, cropHeight: 192 }
  assert.deepEqual(findPreprocess(rectangle, [192, 64], { config }).preprocess, half192)
  const square = { resize: 142, crop: 128, ...half }
  assert.deepEqual(findPreprocess(rectangle, 128, { config }).preprocess, square)
  const json = { image_processor_type: 'ViTImageProcessor', size: { height: 384, width: 128 }, resample: 3 }
  const squashed = { resize: 128, resizeHeight: 384, crop: 128, cropHeight: 384, mode: 'squash', ...half }
  const preprocessor = { json, source: 'p.json' }
  assert.deepEqual(findPreprocess(rectangle, [384, 128], { preprocessor }).preprocess, squashed)
  const given = { resize: 160, resizeHeight: 400 }
  const { resize, resizeHeight } = findPreprocess(rectangle, [384, 128], { config, given }).preprocess
  assert.deepEqual([resizeHeight, resize], [400, 160])
  assert.throws(
    () => findPreprocess(rectangle, [384, 128], { config, given: { resize: 400 } }),
    /resize: wanted a height and a width for pictures of 384 x 128, found 400/,
  )
})

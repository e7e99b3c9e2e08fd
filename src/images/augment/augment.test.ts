import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { InputError } from '../../errors.js'
import { createRandom } from '../../random.js'
import { imagenetPreprocess, normalise } from '../preprocess.js'
import { resizeBox } from '../resample.js'
import { type AugmentRecipe, augmentImage } from './augment.js'
import { flip, randomCropBox } from './crop.js'
import { eraseRandom } from './erase.js'
import { exp, log, sineCosine } from './portable.js'
import { operations, parseRandAugment, randAugment } from './randaugment.js'

const ratio = [3 / 4, 4 / 3] as const
const scale = [0.08, 1] as const

function noise(width: number, height: number, seed: number) {
  const random = createRandom(seed)
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, () => random.bits() >>> 24) }
}

test('portable functions agree with Math to the last bits', () => {
  fc.assert(
    fc.property(fc.double({ min: -50, max: 50, noNaN: true }), (x) => {
      assert.ok(Math.abs(exp(x) / Math.exp(x) - 1) < 1e-13)
    }),
  )
  fc.assert(
    fc.property(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), (x) => {
      assert.ok(Math.abs(log(x) - Math.log(x)) <= 1e-15 * Math.max(1, Math.abs(Math.log(x))))
    }),
  )
  fc.assert(
    fc.property(fc.double({ min: -90, max: 90, noNaN: true }), (degrees) => {
      const [sine, cosine] = sineCosine(degrees)
      assert.ok(Math.abs(sine - Math.sin((degrees * Math.PI) / 180)) < 4e-16)
      assert.ok(Math.abs(cosine - Math.cos((degrees * Math.PI) / 180)) < 4e-16)
    }),
  )
})

test('a crop lies inside the picture and has the area and aspect asked for', () => {
  const size = fc.integer({ min: 1, max: 700 })
  fc.assert(
    fc.property(size, size, fc.nat(), (width, height, seed) => {
      const box = randomCropBox(width, height, scale, ratio, createRandom(seed))
      assert.ok(box.left >= 0 && box.top >= 0 && box.width >= 1 && box.height >= 1)
      assert.ok(box.left + box.width <= width && box.top + box.height <= height)
    }),
  )
  const random = createRandom(5)
  const n = 4000
  let area = 0
  let logAspect = 0
  for (let i = 0; i < n; i++) {
    const box = randomCropBox(1000, 1000, [0.1, 0.5], ratio, random)
    const aspect = box.width / box.height
    assert.ok(aspect > 0.745 && aspect < 1.342, `aspect ${aspect}`)
    area += (box.width * box.height) / 1e6 / n
    logAspect += Math.log(aspect) / n
  }
  assert.ok(Math.abs(area - 0.3) < 0.01, `mean area ${area}`)
  assert.ok(Math.abs(logAspect) < 0.015, `mean log aspect ${logAspect}`)
})

test('where no crop fits, the largest central one of an allowed aspect is taken', () => {
  // Ten tries fail for certain on a strip: its area times 0.9 needs a side longer than the strip is wide.
  const random = createRandom(0)
  assert.deepEqual(randomCropBox(10, 400, [0.9, 1], ratio, random), { left: 0, top: 193, width: 10, height: 13 })
  assert.deepEqual(randomCropBox(400, 9, [0.9, 1], ratio, random), { left: 194, top: 0, width: 12, height: 9 })
})

test('flipping mirrors rows, pixel by pixel', () => {
  const rgb = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  flip(rgb, 3)
  assert.deepEqual([...rgb], [7, 8, 9, 4, 5, 6, 1, 2, 3, 17, 18, 19, 14, 15, 16, 11, 12, 13])
})

test("timm's policies are read, anything else is refused", () => {
  const policy = { operations: 2, probability: 0.5, magnitude: 9, deviation: 0.5 }
  assert.deepEqual(parseRandAugment('rand-m9-mstd0.5-inc1'), policy)
  assert.deepEqual(parseRandAugment('rand-m7-n3-p1-inc1'), {
    operations: 3,
    probability: 1,
    magnitude: 7,
    deviation: 0,
  })
  for (const text of ['', 'rand', 'rand-m9', 'rand-m9-mstd0.5-inc0', 'rand-mx-inc1', 'auto-m9-inc1', 'rand-m11-inc1'])
    assert.throws(
      () => parseRandAugment(text),
      new InputError(`augmentation: wanted a policy such as rand-m9-mstd0.5-inc1, found ${text}`),
    )
})

test('the fifteen operations of timm, and how strong they are', () => {
  assert.deepEqual(Object.keys(operations).length, 15)
  const grey = { width: 9, height: 9, data: new Uint8Array(243).fill(100) }
  const at = (name: string, strength: number) =>
    operations[name]?.(grey, strength, createRandom(1), [124, 116, 104]).data[0]
  // Magnitude 9 of 10: posterise to 4 - int(3.6) = 1 bit, solarise from 256 - int(230.4) = 26, add int(99) = 99.
  assert.equal(at('PosterizeIncreasing', 0.9), 0)
  assert.equal(at('PosterizeIncreasing', 0.5), 64)
  assert.equal(at('SolarizeIncreasing', 0.9), 155)
  assert.equal(at('SolarizeAdd', 0.9), 199)
  // Brightness 1 ± 0.81.
  assert.ok([19, 181].includes(at('BrightnessIncreasing', 0.9) as number))
})

test('operations are drawn evenly, and about half of them applied', () => {
  const image = noise(8, 8, 1)
  const random = createRandom(3)
  const policy = parseRandAugment('rand-m9-mstd0.5-inc1')
  const n = 3000
  let untouched = 0
  for (let i = 0; i < n; i++) if (randAugment(image, policy, random, [0, 0, 0]) === image) untouched++
  // Neither of two operations applied: 1/4, with a deviation of sqrt(3/16/n) = 0.008.
  assert.ok(Math.abs(untouched / n - 0.25) < 0.04, `untouched ${untouched / n}`)
})

test('erasing writes standard normal noise into one rectangle', () => {
  const size = 64
  let share = 0
  const noise: number[] = []
  const n = 300
  for (let i = 0; i < n; i++) {
    const pixels = new Float32Array(3 * size * size).fill(9)
    eraseRandom(pixels, size, createRandom(i))
    const erased = [...pixels.keys()].filter((p) => pixels[p] !== 9)
    const plane = erased.filter((p) => p < size * size)
    const xs = plane.map((p) => p % size)
    const ys = plane.map((p) => Math.floor(p / size))
    const width = Math.max(...xs) - Math.min(...xs) + 1
    const height = Math.max(...ys) - Math.min(...ys) + 1
    assert.equal(plane.length, width * height)
    assert.equal(erased.length, 3 * plane.length)
    share += plane.length / size / size / n
    for (const p of erased.slice(0, 50)) noise.push(pixels[p] as number)
  }
  const mean = noise.reduce((a, b) => a + b, 0) / noise.length
  const variance = noise.reduce((a, b) => a + b * b, 0) / noise.length
  assert.ok(Math.abs(mean) < 0.05 && Math.abs(variance - 1) < 0.06, `mean ${mean}, variance ${variance}`)
  // Uniform between 0.02 and 1/3: 0.177 on average, a little less because the long shapes that do not fit are redrawn.
  assert.ok(share > 0.14 && share < 0.19, `share ${share}`)
})

const preprocess = imagenetPreprocess(32)
const recipe: AugmentRecipe = {
  scale,
  ratio,
  flip: 0.5,
  randAugment: parseRandAugment('rand-m9-mstd0.5-inc1'),
  erase: 0.25,
}

test('a picture depends on its key alone', () => {
  const image = noise(50, 40, 2)
  const draw = (seed: number, epoch: number, draw: number) =>
    augmentImage(image, preprocess, recipe, { seed, epoch, draw })
  const before = draw(1, 2, 3)
  draw(9, 9, 9)
  assert.deepEqual(draw(1, 2, 3), before)
  for (const other of [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)]) assert.notDeepEqual(other, before)
})

test('with everything off the picture is only resized and normalised', () => {
  const image = noise(40, 40, 2)
  const plain: AugmentRecipe = { scale: [1, 1], ratio: [1, 1], flip: 0, erase: 0 }
  const expected = normalise(resizeBox(image, { left: 0, top: 0, width: 40, height: 40 }, 32), preprocess)
  assert.deepEqual(augmentImage(image, preprocess, plain, { seed: 0, epoch: 0, draw: 0 }), expected)
})

test('forty pictures have the same bits on every machine', () => {
  const image = noise(50, 40, 2)
  const hash = createHash('sha256')
  for (let draw = 0; draw < 40; draw++)
    hash.update(augmentImage(image, preprocess, recipe, { seed: 1, epoch: 2, draw }))
  assert.equal(hash.digest('hex'), 'e84653a5d631558091c2ed2c27311ac3a7d9edfc5465283e494e8534202a39c2')
})

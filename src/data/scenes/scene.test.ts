import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { type Preprocess, preprocessImage } from '../../images/preprocess.js'
import { inModelClasses } from '../classes.js'
import { loadBatches } from '../loader.js'
import { openDataset } from '../open.js'
import { openScenes } from './dataset.js'
import { SCENE_SIDE, scene, sceneClasses, sceneLabel, sceneMask, sceneSeeds } from './scene.js'

const PIXELS = SCENE_SIDE * SCENE_SIDE

/** SHA-256 over pixels, masks and labels. */
function digest(seed: number, count: number): string {
  const hash = createHash('sha256')
  for (let i = 0; i < count; i++) {
    const { image, mask, label } = scene(seed, i)
    hash.update(image.data).update(mask).update(Uint8Array.of(label))
  }
  return hash.digest('hex')
}

const pictures = Array.from({ length: 160 }, (_, i) => scene(4, i))

describe('scene', () => {
  it('draws the same bytes on every platform', () => {
    assert.equal(digest(0, 48), 'c60294707dc7a5eaef4da008dfcfdc49b4b8c38e5ba690370cdcc26c0721070c')
  })

  it('uses no function whose last bit differs between engines', () => {
    const portable = new Set(['abs', 'ceil', 'floor', 'imul', 'max', 'min', 'round', 'sqrt', 'trunc'])
    const rest = Object.entries(Object.getOwnPropertyDescriptors(Math)).filter(
      ([name, { value }]) => typeof value === 'function' && !portable.has(name),
    )
    for (const [name, descriptor] of rest) {
      const forbidden = () => assert.fail(`Math.${name} was called`)
      Object.defineProperty(Math, name, { ...descriptor, value: forbidden })
    }
    try {
      for (let i = 0; i < 2 * sceneClasses.length; i++) scene(5, i)
    } finally {
      for (const [name, descriptor] of rest) Object.defineProperty(Math, name, descriptor)
    }
  })

  it('gives a picture of 96×96 and a mask, whatever was drawn before', () => {
    const { image, mask, label } = scene(4, 17)
    assert.deepEqual([image.width, image.height, image.data.length, mask.length], [96, 96, 3 * PIXELS, PIXELS])
    assert.deepEqual(image, pictures[17]?.image)
    assert.deepEqual(mask, sceneMask(4, 17))
    assert.equal(label, sceneLabel(4, 17))
  })

  it('has the object on a third of the picture or less, and never too small to see', () => {
    for (const [i, { mask }] of pictures.entries()) {
      const share = mask.reduce((sum, value) => sum + value, 0) / 255 / PIXELS
      assert.ok(share > 0.02 && share <= 1 / 3, `picture ${i}: the object covers ${share}`)
    }
  })

  it('hides a quarter of an object at most, and often something', () => {
    for (const { occlusion } of pictures) assert.ok(occlusion >= 0 && occlusion <= 0.25, String(occlusion))
    const hidden = pictures.filter(({ occlusion }) => occlusion > 0.05).length / pictures.length
    assert.ok(hidden > 0.2 && hidden < 0.7, `${hidden} of the pictures`)
  })

  it('puts objects everywhere', () => {
    const middles = pictures.map(({ mask }) => {
      let [total, sum] = [0, 0]
      for (const [at, value] of mask.entries()) {
        total += value
        sum += value * (at % SCENE_SIDE)
      }
      return sum / total
    })
    assert.ok(Math.min(...middles) < 30 && Math.max(...middles) > 66)
  })

  it('does not tell the class by colour', () => {
    // Per class, the mean colour of its objects: with colours drawn alike it is grey, up to the chance of 10 pictures.
    for (const [label, name] of sceneClasses.entries()) {
      const means = [0, 1, 2].map((k) => {
        let [total, sum] = [0, 0]
        for (const { image, mask } of pictures.filter((picture) => picture.label === label)) {
          for (const [at, value] of mask.entries()) {
            total += value
            sum += value * (image.data[3 * at + k] as number)
          }
        }
        return sum / total
      })
      assert.ok(Math.max(...means) - Math.min(...means) < 70, `${name}: ${means}`)
    }
  })

  it('differs from seed to seed and from picture to picture', () => {
    const seen = new Set([0, 1, 2, 3, 2 ** 32, 2 ** 32 + 1].map((seed) => digest(seed, 2)))
    assert.equal(seen.size, 6)
    assert.notDeepEqual(pictures[0]?.image, pictures[1]?.image)
    assert.equal(new Set(Object.values(sceneSeeds)).size, 3)
  })

  it('refuses what is no seed or number', () => {
    assert.throws(() => scene(-1, 0), { message: 'scenes: the seed must be a non-negative integer, found -1' })
    assert.throws(() => scene(0, 0.5), {
      message: "scenes: a picture's number must be an integer from 0 to 2^32 - 1, found 0.5",
    })
  })
})

describe('scene labels', () => {
  it('have every class once in every run of sixteen, in different orders', () => {
    const orders = Array.from({ length: 30 }, (_, block) =>
      Array.from({ length: 16 }, (_, i) => sceneLabel(9, block * 16 + i)),
    )
    for (const order of orders)
      assert.deepEqual(
        [...order].sort((a, b) => a - b),
        [...sceneClasses.keys()],
      )
    assert.equal(new Set(orders.map(String)).size, orders.length)
  })
})

describe('scenes as a data set', () => {
  it('are opened by seed and number', async () => {
    const dataset = await openDataset('scenes:7:40')
    assert.equal(dataset.samples.length, 40)
    assert.deepEqual(dataset.samples[3], { name: 'scenes:7#3', label: sceneLabel(7, 3) })
    assert.equal(dataset.classNames, sceneClasses)
    assert.deepEqual(dataset.source(3), { kind: 'scene', seed: 7, index: 3 })
    assert.throws(() => dataset.source(40), { message: 'scenes:7:40: no picture 40, it has 40' })
    const unnamed = await openDataset('scenes')
    assert.deepEqual([unnamed.samples.length, unnamed.samples[0]?.name], [2000, `scenes:${sceneSeeds.test}#0`])
    assert.equal((await openDataset('scenes:3')).samples[1]?.name, 'scenes:3#1')
  })

  it('say what is wrong with a request', async () => {
    const wanted = 'wanted scenes[:SEED[:COUNT]], both non-negative integers, such as scenes:7:2000'
    for (const spec of ['scenes:', 'scenes:x', 'scenes:1:', 'scenes:-1', 'scenes:1:2:3', 'scenes:1.5']) {
      await assert.rejects(openDataset(spec), { name: 'InputError', message: `${spec}: ${wanted}` })
    }
    await assert.rejects(openDataset('scenes:1:0'), {
      message: 'scenes:1:0: the number of pictures must be from 1 to 2000000, found 0',
    })
    assert.throws(() => inModelClasses(openScenes('scenes:1:9'), { name: 'm', classes: 10 }), {
      message:
        'scenes:1:9: 16 classes (bird, boat, car, chair and 12 more), but m has 10 without names: --labels FILE names them',
    })
  })

  it('come out of workers as they are drawn here, however many workers there are', async () => {
    const preprocess: Preprocess = { resize: 96, crop: 96, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] }
    const dataset = await openDataset('scenes:4:14')
    for (const workers of [1, 3]) {
      let seen = 0
      for await (const { pixels, labels, indices } of loadBatches(dataset, { batch: 4, preprocess, workers })) {
        for (const [at, index] of indices.entries()) {
          const { image, label } = pictures[index] as (typeof pictures)[number]
          const expected = preprocessImage(image, preprocess)
          assert.deepEqual(pixels.subarray(at * 3 * PIXELS, (at + 1) * 3 * PIXELS), expected)
          assert.equal(labels[at], label)
          seen++
        }
      }
      assert.equal(seen, 14)
    }
  })
})

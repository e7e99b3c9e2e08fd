import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { encode, HEIGHT, rgb, WIDTH } from '../../test/support/pictures.js'
import type { PictureInput } from '../images/input.js'
import { loadClassifier } from './pictures.js'

const folder = temporaryFolder()
const classifier = await loadClassifier('demo', { keepRatio: 0.7, threads: 1 })
after(() => classifier.close())

const png = await encode('png')
const path = folder.write('picture.png', png)
const grey = { width: 1, height: 1, data: Uint8Array.of(90, 90, 90) }

describe('a classifier of pictures', () => {
  it('gives a picture its best labels, five unless told otherwise', async () => {
    const predictions = await classifier.classify(path)
    assert.equal(predictions.length, 5)
    assert.deepEqual(await classifier.classify(png, 2), predictions.slice(0, 2))
    const pixels = { width: WIDTH, height: HEIGHT, data: rgb }
    assert.deepEqual(await classifier.classify(pixels, 1), predictions.slice(0, 1))
    assert.deepEqual(await classifier.read(pixels), await classifier.read(path))
  })

  it('gives a list of pictures a list of answers, in order, whatever the batch', async () => {
    const pictures = [path, grey, png, grey, new Blob([new Uint8Array(png)])]
    const single = await Promise.all(pictures.map((picture) => classifier.classify(picture, 3)))
    for (const batch of [1, 2, 16]) {
      const answers = await classifier.classify(pictures, 3, { batch })
      assert.deepEqual(
        answers.map((predictions) => predictions.map(({ label, score }) => [label, score.toFixed(5)])),
        single.map((predictions) => predictions.map(({ label, score }) => [label, score.toFixed(5)])),
      )
    }
    assert.deepEqual(await classifier.classify([]), [])
  })

  it('names the first picture of a list that cannot be read', async () => {
    const refused = (pictures: readonly PictureInput[], message: string) =>
      assert.rejects(classifier.classify(pictures), { name: 'InputError', message })
    await refused(
      [path, new Uint8Array(3), 'gone.png'],
      'picture 1: not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)',
    )
    await refused(['gone.png', new Uint8Array(3)], 'gone.png: no such file')
  })

  it('refuses what cannot be meant, and gives up when told to', async () => {
    await assert.rejects(classifier.classify(path, 0), { message: 'top: wanted a whole number from 1, found 0' })
    await assert.rejects(classifier.classify([path], 5, { batch: 0.5 }), {
      message: 'batch: wanted a whole number from 1, found 0.5',
    })
    const signal = AbortSignal.abort()
    await assert.rejects(classifier.classify(path, 5, { signal }), { name: 'AbortError' })
    await assert.rejects(classifier.classify([path], 5, { signal }), { name: 'AbortError' })
  })
})

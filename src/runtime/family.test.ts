/** Every family through what stands on a model: int8, export with features, the drawing of its tokens, its benchmark. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { families } from '../../test/support/families.js'
import { temporaryFolder } from '../../test/support/folder.js'
import { floats, maxAbsDiff, randomPixels, randomWeights } from '../../test/support/models.js'
import { visualizePictures } from '../analysis/visualize.js'
import { benchmark } from '../bench/models.js'
import { exportModel } from '../export/folder.js'
import { imagenetPreprocess } from '../images/preprocess.js'
import { createSession, openNodeClassifier } from './node.js'

const folder = temporaryFolder()
const options = { keepRatio: 0.6, threads: 1 } as const

for (const [name, config] of Object.entries(families))
  describe(name, () => {
    const model = { name, config, state: randomWeights(config, 3, 0.1), source: 'test' } as never
    const pixels = floats(randomPixels(config, 2, 4))

    it('is exported with its features, and runs in int8 nearly as in fp32', async () => {
      const own = await openNodeClassifier(model, { ...options, features: true })
      const small = await openNodeClassifier(model, { ...options, features: true, precision: 'int8' })
      try {
        const [a, b] = [await own.forward(pixels), await small.forward(pixels)]
        const answer = (of: typeof a) => (config.classes > 0 ? of.logits : (of.pooled ?? assert.fail('no answer')))
        const size = Math.max(...answer(a).map(Math.abs))
        assert.ok(maxAbsDiff(answer(a), answer(b)) < 0.2 * size, `${maxAbsDiff(answer(a), answer(b))} of ${size}`)
        const out = join(folder.path, name.replace(/\W/g, ''))
        await exportModel(model, out, { ...options, features: true, weights: false })
        const session = await createSession(new Uint8Array(readFileSync(join(out, 'onnx', 'model.onnx'))), {
          threads: 1,
        })
        const { features, ...answers } = await session.run({ pixel_values: randomPixels(config, 2, 4) })
        await session.close()
        assert.ok(maxAbsDiff(floats(features), a.features ?? new Float32Array(0)) < 1e-4)
        assert.ok(maxAbsDiff(floats(answers[config.classes > 0 ? 'logits' : 'pooled']), answer(a)) < 1e-4)
      } finally {
        await own.close()
        await small.close()
      }
    })

    it('is drawn', async () => {
      const rgb = Uint8Array.from({ length: 3 * config.imageSize ** 2 }, (_, i) => (i * 37) % 256)
      const files = await visualizePictures(model, [{ name: 'a.png', rgb }], {
        ...options,
        preprocess: imagenetPreprocess(config.imageSize),
      })
      assert.ok(files.has('index.html') && [...files.keys()].some((file) => file.includes('tokens')))
    })

    it('is timed beside its plain form', async () => {
      const { rows } = await benchmark(model, {
        ...{ keepRatios: [0.6], batches: [1], precisions: ['fp32'], rounds: 1, blockMilliseconds: 1 },
        ...{ matrixSide: 16, threads: 1 },
      })
      assert.equal(rows.length, 2)
      assert.ok((rows[1]?.macRatio ?? 0) > 1)
    })
  })

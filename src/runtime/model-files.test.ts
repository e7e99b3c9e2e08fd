import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { randomWeights, tiny } from '../../test/support/models.js'
import { golden } from '../../test/support/shared.js'
import { InputError } from '../errors.js'
import { saveSafetensors } from '../weights/files.js'
import type { StateDict } from '../weights/state.js'
import { loadClassifier } from './pictures.js'

const folder = temporaryFolder()
const model = join(folder.path, 'model')
mkdirSync(model)
await saveSafetensors(join(model, 'model.safetensors'), randomWeights(tiny, 3) as StateDict)
folder.write(
  'model/config.json',
  JSON.stringify({
    num_attention_heads: 3,
    id2label: { 0: 'cat', 1: 'dog', 2: 'fox', 3: 'hen', 4: 'owl' },
    idlevit: { keepTokens: [16, 12, 9, 4], preprocess: { resize: 40, crop: 32, mean: [0, 0, 0], std: [1, 1, 1] } },
  }),
)

test('a classifier takes heads, labels, preprocessing and plan from the model, and each of them by hand', async () => {
  const own = await loadClassifier(model, { threads: 1 })
  assert.deepEqual(own.preprocess, { resize: 40, crop: 32, mean: [0, 0, 0], std: [1, 1, 1] })
  assert.equal(own.model.config.heads, 3)
  assert.deepEqual(own.plan.keep, [16, 12, 9, 4])
  const [best] = await own.classify(golden('images/3-waves.jpg'), 1)
  assert.ok(['cat', 'dog', 'fox', 'hen', 'owl'].includes(best?.label ?? ''))
  await own.close()

  const by = { heads: 2, labels: ['a', 'b', 'c', 'd', 'e'], preprocess: { crop: 48 }, keepRatio: 0.5, threads: 1 }
  const hand = await loadClassifier(model, by)
  assert.deepEqual(hand.preprocess, { resize: 60, crop: 48, mean: [0, 0, 0], std: [1, 1, 1] })
  assert.equal((await hand.read(golden('images/3-waves.jpg'))).length, 3 * 48 * 48)
  assert.deepEqual([hand.model.config.heads, hand.plan.keep], [2, [36, 18, 9, 4]])
  assert.deepEqual(hand.model.labels, by.labels)
  assert.match(hand.warnings.join(), /2 attention heads as given, though .* says 3/)
  await hand.close()
})

test('what cannot be meant is refused with what probably was', async () => {
  const cases: readonly [options: Parameters<typeof loadClassifier>[1], reason: RegExp][] = [
    [{ preprocess: { mean: [127.5, 127.5, 127.5] } }, /so 0\.5,0\.5,0\.5 was probably meant$/],
    [{ preprocess: { resize: 20 } }, /resize: wanted at least 32, the side of the crop, found 20$/],
    [{ keepRatio: 70 }, /keep ratio: .*found 70: 0\.7 was probably meant$/],
  ]
  for (const [options, reason] of cases)
    await assert.rejects(
      loadClassifier(model, options),
      (error) => error instanceof InputError && reason.test(error.message),
    )
})

/** ATS on real pictures: every picture keeps tokens of its own number, and answers in a batch as alone. */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { loadClassifier } from '../src/node.js'
import { maxAbsDiff } from './support/models.js'
import { needs, sharedPath } from './support/shared.js'

const weights = sharedPath('data', 'weights', 'deit_tiny_patch16_224.safetensors')
const photos = sharedPath('data', 'photos')

it(
  'ATS treats a photo in a batch as it does alone',
  needs(weights && photos, 'data/weights and data/photos'),
  async () => {
    const names = (await readdir(photos as string))
      .filter((name) => /\.jpe?g$/i.test(name))
      .sort()
      .slice(0, 3)
    const classifier = await loadClassifier(weights as string, {
      method: 'ats',
      keepRatio: 0.7,
      trace: true,
      threads: 1,
    })
    try {
      const pictures = await Promise.all(names.map((name) => classifier.read(join(photos as string, name))))
      const length = pictures[0]?.length ?? 0
      const batch = new Float32Array(names.length * length)
      for (const [i, picture] of pictures.entries()) batch.set(picture, i * length)
      const together = await classifier.forward(batch)
      const counts = together.selections?.map((blocks) => blocks.map(({ selected }) => selected.length))
      assert.ok(new Set(counts?.map(String)).size > 1, `tokens by picture and block: ${counts?.join(' | ')}`)
      for (const [i, picture] of pictures.entries()) {
        const alone = await classifier.forward(picture)
        const logits = together.logits.subarray(i * together.classes, (i + 1) * together.classes)
        assert.ok(maxAbsDiff(alone.logits, logits) < 1e-4, names[i])
        assert.deepEqual(
          alone.selections?.[0]?.map(({ selected }) => [...selected]),
          together.selections?.[i]?.map(({ selected }) => [...selected]),
        )
      }
    } finally {
      await classifier.close()
    }
  },
)

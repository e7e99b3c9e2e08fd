import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tiny } from '../../test/support/models.js'
import { createRandom } from '../random.js'
import { randomVit } from '../weights/init.js'
import { openStudentLanes } from './lanes.js'
import { createParameters } from './parameters.js'
import { openStudent, type StudentSettings } from './student.js'

const random = createRandom(3)
const normals = (...shape: number[]) => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
  shape,
})
const batch = () => ({
  pixels: normals(2, 3, tiny.imageSize, tiny.imageSize),
  targets: { data: new Float32Array(2 * tiny.classes).fill(1 / tiny.classes), shape: [2, tiny.classes] },
})

test('lanes give the bits of a single student, whichever of them answers first', async () => {
  const settings: StudentSettings = {
    plan: { config: tiny, keep: Array.from({ length: tiny.depth }, (_, l) => (l === 0 ? 16 : 9)) },
    parameters: createParameters(randomVit(tiny, 1)),
    teacher: {
      model: { name: 'teacher', config: tiny, state: randomVit(tiny, 2) },
      lessons: { answers: true, rows: 'class' },
    },
  }
  const alone = await openStudent(settings, { threads: 1 })
  const lanes = await openStudentLanes(settings, 2)
  for (let update = 0; update < 3; update++) {
    const batches = [batch(), batch()]
    const found = await Promise.all(batches.map((each) => lanes.run(each)))
    for (const [i, each] of batches.entries()) {
      const wanted = await alone.run(each)
      assert.deepEqual(found[i], wanted)
      assert.ok(wanted.loss > 0 && wanted.gradients.some((g) => g !== 0))
    }
    // The next update must see other weights.
    settings.parameters.values.forEach((value, i, values) => {
      values[i] = value * 0.9
    })
  }
  await alone.close()
  await lanes.close()
})

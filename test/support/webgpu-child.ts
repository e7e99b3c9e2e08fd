/** Runs a small model on the CPU and on WebGPU and prints what both say, as JSON. */

import { openNodeClassifier } from '../../src/runtime/node.js'
import { randomPixels, randomWeights, tiny } from './models.js'

/** Shallow: the software driver compiles every operator's shader anew. */
const config = { ...tiny, depth: 2 }
const model = { name: 'tiny', config, state: randomWeights(config, 1) }
const pixels = randomPixels(config, 3, 2).data as Float32Array
const options = { keepRatio: 0.7, trace: true } as const

const report: Record<string, object> = {}
for (const [name, more] of Object.entries({
  cpu: {},
  fp32: { device: 'webgpu' },
  fp16: { device: 'webgpu', precision: 'fp16' },
})) {
  const classifier = await openNodeClassifier(model, { ...options, ...(more as object) })
  const { logits, selections } = await classifier.forward(pixels)
  const selected = selections?.map((blocks) => blocks.map((block) => [...block.selected]))
  report[name] = { logits: [...logits], selected, warnings: classifier.warnings }
  await classifier.close()
}
process.stdout.write(JSON.stringify(report))

// The least a Node program can do: load ONNX bytes, run once. Arguments: model.onnx, picture side.
import { readFileSync } from 'node:fs'
import { InferenceSession, Tensor } from 'onnxruntime-node'

const [, , file, side] = process.argv
const size = Number(side)
const session = await InferenceSession.create(readFileSync(file))
const pixels = new Float32Array(3 * size * size).fill(0.5)
const { logits } = await session.run({ pixel_values: new Tensor('float32', pixels, [1, 3, size, size]) })
console.log(logits.data.indexOf(Math.max(...logits.data)))

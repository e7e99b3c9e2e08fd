/** ONNX Runtime's Resize operator (opset 19), as an implementation of resizing that is not ours. */

import { encodeMessage } from '../../src/graph/schema.js'
import { createSession } from '../../src/runtime/node.js'

export interface OnnxResize {
  readonly from: readonly [number, number]
  readonly to: readonly [number, number]
  /** Keys' parameter. */
  readonly a: number
  readonly antialias: boolean
  /** By this share of the old grid instead of to the new one's size. */
  readonly scales?: readonly [number, number]
}

/** Resizes a grid of numbers `[rows, columns]` by the cubic kernel with half-pixel centres. */
export async function resizeByOnnx(
  grid: Float32Array,
  { from, to, a, antialias, scales }: OnnxResize,
): Promise<Float32Array> {
  const text = (value: string) => new TextEncoder().encode(value)
  const attribute = [
    { name: 'mode', s: text('cubic'), type: 3 },
    { name: 'coordinate_transformation_mode', s: text('half_pixel'), type: 3 },
    { name: 'cubic_coeff_a', f: a, type: 1 },
    { name: 'antialias', i: antialias ? 1 : 0, type: 2 },
    { name: 'exclude_outside', i: antialias ? 1 : 0, type: 2 },
  ]
  const info = (name: string, sides: readonly [number, number]) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [1, 1, ...sides].map((dimValue) => ({ dimValue })) } } },
  })
  const size = scales
    ? { dataType: 1, rawData: new Uint8Array(Float32Array.of(1, 1, ...scales).buffer) }
    : { dataType: 7, rawData: new Uint8Array(BigInt64Array.of(1n, 1n, ...to.map(BigInt)).buffer) }
  const input = scales ? ['x', '', 'size'] : ['x', '', '', 'size']
  const bytes = encodeMessage('ModelProto', {
    irVersion: 9,
    opsetImport: [{ domain: '', version: 19 }],
    graph: {
      name: 'resize',
      node: [{ input, output: ['y'], name: 'resize', opType: 'Resize', attribute, domain: '' }],
      initializer: [{ name: 'size', dims: [4], ...size }],
      input: [info('x', from)],
      output: [info('y', to)],
    },
  })
  const session = await createSession(bytes, { threads: 1 })
  try {
    const { y } = await session.run({ x: { data: grid, shape: [1, 1, ...from] } })
    return y?.data as Float32Array
  } finally {
    await session.close()
  }
}

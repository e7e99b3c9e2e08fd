/** What a machine is, and how fast its ONNX Runtime multiplies large matrices: the yardstick of a model's speed. */

import { createRequire } from 'node:module'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { constant, createGraph, type Graph, input, output } from '../graph/graph.js'
import { linear } from '../graph/ops/linear.js'
import { slice } from '../graph/ops/shape.js'
import { toInt8 } from '../graph/passes/int8.js'
import { createSession } from '../runtime/node.js'
import type { SessionOptions } from '../runtime/session.js'
import type { Contender } from './interleave.js'

export interface Machine {
  readonly cpu: string
  /** Logical processors that this process may use. */
  readonly processors: number
  readonly memoryBytes: number
  readonly platform: string
  readonly node: string
  readonly onnxruntime: string
}

export function describeMachine(): Machine {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
    onnxruntime: version,
  }
}

/** Side of the square matrices: large enough that the runtime is at its best. */
export const matrixSide = 2048

/** A large product that can be timed, and the multiply-adds of a run. */
export interface MatrixProduct extends Contender {
  readonly macs: number
  close(): Promise<void>
}

/** Opens a product of two square matrices as a session; `int8` quantises one of them at every run, as models do. */
export async function openMatrixProduct(
  precision: 'fp32' | 'int8',
  side: number,
  options: SessionOptions = {},
): Promise<MatrixProduct> {
  const values = Float32Array.from({ length: side * side }, (_, i) => Math.sin(i))
  const graph = product(values, side)
  const session = await createSession(precision === 'int8' ? toInt8(graph) : graph, options)
  const feeds = { x: { data: values, shape: [side, side] } }
  return { macs: side ** 3, run: () => session.run(feeds), close: () => session.close() }
}

/** One row is read out, so that copying the result does not count. */
function product(values: Float32Array, side: number): Graph {
  const graph = createGraph()
  const x = input(graph, 'x', [side, side])
  const y = linear(x, constant(graph, values, [side, side], 'w')) // [side, side]
  output('y', slice(y, 0, 0, 1)) // [1, side]
  return graph
}

/** Whether a device computes in float16: not every GPU driver does. */

import { createGraph, input, output } from '../graph/graph.js'
import { add } from '../graph/ops/elementwise.js'
import { toHalf } from '../graph/passes/half.js'
import type { OpenSession, SessionOptions } from './session.js'

/** Adds two numbers in float16 on the device and sees whether it can. */
export async function computesHalf(openSession: OpenSession, options: SessionOptions): Promise<boolean> {
  const graph = createGraph()
  const x = input(graph, 'x', [1])
  output('y', add(x, x))
  const session = await openSession(toHalf(graph), options)
  try {
    const { y } = await session.run({ x: { data: Float32Array.of(1.5), shape: [1] } })
    return y?.data[0] === 3
  } catch {
    return false
  } finally {
    await session.close()
  }
}

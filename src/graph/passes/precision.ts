/** Number formats of inference, and how a graph gets there. */

import type { Graph } from '../graph.js'
import { fuseAttentionBias } from './fuse.js'
import { toHalf, withHalfWeights } from './half.js'
import { toInt8 } from './int8.js'

export type Precision = 'fp32' | 'fp16' | 'int8'

export interface Target {
  /** Default `fp32`. */
  readonly precision?: Precision
  /** ONNX Runtime's own operators may be used; default true. */
  readonly contrib?: boolean
  /** The device computes in float16 rather than only storing weights in it; default false. */
  readonly computesHalf?: boolean
}

/** Gets an inference graph ready for a target: number format, and the fusions that pay there. */
export function lower(graph: Graph, { precision = 'fp32', contrib = true, computesHalf = false }: Target = {}): Graph {
  if (precision === 'int8') return toInt8(graph) // its products add the bias where they end: nothing to move
  const fused = contrib ? fuseAttentionBias(graph) : graph
  if (precision === 'fp32') return fused
  return computesHalf && contrib ? toHalf(fused) : withHalfWeights(graph)
}

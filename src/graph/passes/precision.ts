/** Number formats of inference, and how a graph gets there. */

import type { Graph } from '../graph.js'
import { toHalf, withHalfWeights } from './half.js'
import { toInt8 } from './int8.js'
import { mergeRows } from './merge.js'
import { separateProducts } from './separate.js'
import { shareKeys } from './share.js'

export type Precision = 'fp32' | 'fp16' | 'int8'

export interface Target {
  /** Default `fp32`. */
  readonly precision?: Precision
  /** ONNX Runtime's own operators may be used; default true. */
  readonly contrib?: boolean
  /** The device computes in float16 rather than only storing weights in it; default false. */
  readonly computesHalf?: boolean
}

/** Gets an inference graph ready for a target: number format, and the rewrites that pay there. */
export function lower(graph: Graph, { precision = 'fp32', contrib = true, computesHalf = false }: Target = {}): Graph {
  const separate = separateProducts(graph)
  if (precision === 'int8') return toInt8(mergeRows(separate))
  if (precision === 'fp32') return mergeRows(contrib ? shareKeys(separate) : separate)
  return computesHalf && contrib ? toHalf(mergeRows(separate)) : withHalfWeights(mergeRows(separate))
}

/** A packed product and its split, taken apart: the same numbers without a copy of the whole. */

import type { Graph, Tensor } from '../graph.js'
import { linear } from '../ops/linear.js'
import { split } from '../ops/shape.js'
import { rewrite } from './rewrite.js'

/**
 * Replaces a linear layer with constant weights whose result is split along its columns by a layer for every part.
 *
 * Queries, keys and values are packed for the sake of training, where one product has one gradient. At inference the
 * copies of Split cost more than two further products.
 */
export const separateProducts = (graph: Graph): Graph =>
  rewrite(graph, ({ op, attrs }, [whole]) => {
    const packed = whole?.node
    if (op.name !== 'split' || packed?.op.name !== 'linear') return undefined
    const [x, weight, bias] = packed.inputs as [Tensor, Tensor, Tensor?]
    const { axis, parts } = attrs as { axis: number; parts: number }
    if (!weight.data || axis !== x.shape.length - 1) return undefined
    const biases = bias && split(bias, 0, parts) // [out / parts] each
    return split(weight, 0, parts).map((part, i) => linear(x, part, biases?.[i])) // […, out / parts] each
  })

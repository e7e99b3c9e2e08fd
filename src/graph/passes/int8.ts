/** Linear layers in 8-bit integers; everything between them stays float32. */

import type { Graph } from '../graph.js'
import { quantizedLinear } from '../ops/quantized.js'
import { rewrite } from './rewrite.js'

/** Replaces every linear layer with constant weights by its quantised form. */
export const toInt8 = (graph: Graph): Graph =>
  rewrite(graph, ({ op, inputs: [, weight] }, [x, , bias]) =>
    op.name === 'linear' && x && weight?.data ? [quantizedLinear(x, weight, bias)] : undefined,
  )

/** A branch: which of two tensors, and with it which part of the graph, is decided when the graph runs. */

import type { Dim } from '../dims.js'
import { apply, type Op, type Tensor } from '../graph.js'
import { zerosLike } from './shape.js'

const chooseOp: Op<{ taken: Dim | undefined }> = {
  name: 'choose',
  lazy: [1, 2],
  share({ attrs: { taken } }, input, size) {
    if (taken === undefined) return 1
    const share = size([taken])[0] as number
    return input === 1 ? share : 1 - share
  },
  infer([condition, a, b]) {
    const { dtype, shape } = a as Tensor
    const other = b as Tensor
    if (condition?.dtype !== 'bool') throw new Error(`a condition is bool, found ${condition?.dtype}`)
    if (dtype !== other.dtype || shape.length !== other.shape.length) throw new Error('both must be of one kind')
    return [{ dtype, shape: shape.map((dim, i) => either(dim, other.shape[i] as Dim)) }]
  },
  emit(node, onnx) {
    const [condition] = node.inputs as [Tensor, Tensor, Tensor]
    const [result] = node.outputs as [Tensor]
    const branches = { then_branch: onnx.body(node, 1), else_branch: onnx.body(node, 2) }
    onnx.node('If', [condition.name], [result.name], branches)
  },
  gradient({ inputs }, [gradient]) {
    const [condition, a, b] = inputs as [Tensor, Tensor, Tensor]
    const g = gradient as Tensor
    return [undefined, choose(condition, g, zerosLike(a)), choose(condition, zerosLike(b), g)]
  },
}

/** A dimension known to one side only stays a symbol. */
function either(a: Dim, b: Dim): Dim {
  if (a === b) return a
  if (typeof a === 'number' && typeof b === 'number') throw new Error(`sizes ${a} and ${b} differ`)
  return typeof a === 'number' ? b : a
}

/**
 * `a` where the condition holds, else `b`; operators that serve only the other one do not run.
 *
 * @param condition - bool, one element
 * @param taken - what stands for the condition where costs are counted: 1 where it holds, 0 where it does not; absent:
 * both sides count
 */
export const choose = (condition: Tensor, a: Tensor, b: Tensor, taken?: Dim): Tensor =>
  apply(chooseOp, [condition, a, b], { taken })

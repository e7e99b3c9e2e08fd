/** Order of execution, where the data alone would not force it. */

import { apply, type Emitter, type Op, type Tensor } from '../graph.js'
import { int64s, reshapeTarget } from '../onnx.js'

/**
 * A reshape to the shape it has, whose target is computed from an element of every other tensor: costs next to nothing,
 * and neither the runtime's scheduler nor its search for common subexpressions can see through it.
 */
const afterOp: Op<null> = {
  name: 'after',
  infer: ([x]) => [x as Tensor],
  emit({ inputs, outputs }, onnx) {
    const [x, ...others] = inputs as [Tensor, ...Tensor[]]
    const [sum] = onnx.node(
      'Sum',
      others.map((tensor) => firstElement(tensor, onnx)),
      1,
    ) as [string]
    const [integer] = onnx.node('Cast', [sum], 1, { to: 7 }) as [string]
    const [zero] = onnx.node('Mul', [integer, onnx.constant(int64s([0]), [1])], 1) as [string]
    const target = reshapeTarget(x.shape, x.shape)
    const [shape] = onnx.node('Add', [onnx.constant(int64s(target), [target.length]), zero], 1) as [string]
    onnx.node('Reshape', [x.name, shape], [(outputs[0] as Tensor).name])
  },
  gradient: (_, [g]) => [g],
}

function firstElement(tensor: Tensor, onnx: Emitter): string {
  const [flat] = onnx.node('Reshape', [tensor.name, onnx.constant(int64s([-1]), [1])], 1) as [string]
  return onnx.node('Gather', [flat, onnx.constant(int64s([0]), [1])], 1)[0] as string
}

/** x itself, but not before the others have been computed. */
export const after = (x: Tensor, others: readonly Tensor[]): Tensor => apply(afterOp, [x, ...others], null)

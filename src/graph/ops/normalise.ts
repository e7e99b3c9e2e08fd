/** LayerNorm and softmax. */

import { apply, applyAll, type Op, type Tensor } from '../graph.js'
import { reduceSum, sumTo } from './broadcast.js'
import { exp, mul, sub } from './elementwise.js'
import { reduceMean } from './reduce.js'

/** LayerNorm over the last axis; outputs the result and, for the backward pass, mean and 1/deviation `[…, 1]`. */
const layerNormOp: Op<{ eps: number }> = {
  name: 'layerNorm',
  infer([x, weight]) {
    const { dtype, shape } = x as Tensor
    if ((weight as Tensor).shape[0] !== shape.at(-1)) throw new Error('weight does not fit the last axis')
    const statistics = { dtype, shape: [...shape.slice(0, -1), 1] }
    return [{ dtype, shape }, statistics, statistics]
  },
  emit({ inputs, outputs, attrs }, onnx) {
    const [y, mean, deviation] = outputs as [Tensor, Tensor, Tensor]
    const wanted = onnx.used(mean) || onnx.used(deviation) ? [y.name, mean.name, deviation.name] : [y.name]
    onnx.node(
      'LayerNormalization',
      inputs.map((t) => t.name),
      wanted,
      { axis: -1, epsilon: { float: attrs.eps } },
    )
  },
  // With x̂ = (x - mean)/deviation and ĝ = g w: dx = (ĝ - mean(ĝ) - x̂ mean(ĝ x̂)) / deviation.
  gradient({ inputs, outputs: [, mean, inverse] }, [dy]) {
    const [x, weight, bias] = inputs as [Tensor, Tensor, Tensor]
    const g = dy as Tensor
    const last = [x.shape.length - 1]
    const normal = mul(sub(x, mean as Tensor), inverse as Tensor) // […, C]
    const gw = mul(g, weight) // […, C]
    const along = mul(normal, reduceMean(mul(gw, normal), last, true)) // […, C]
    const dx = mul(sub(sub(gw, reduceMean(gw, last, true)), along), inverse as Tensor) // […, C]
    return [dx, sumTo(mul(g, normal), weight.shape), sumTo(g, bias.shape)]
  },
}

/** LayerNorm (Ba et al., arXiv 1607.06450) over the last axis of x, weight and bias `[C]`. */
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, eps: number): Tensor =>
  applyAll(layerNormOp, [x, weight, bias], { eps })[0] as Tensor

function softmaxOp(name: string, onnxType: string, rule: (g: Tensor, y: Tensor) => Tensor): Op<null> {
  return {
    name,
    infer: ([x]) => [x as Tensor],
    gradient: ({ outputs: [y] }, [g]) => [rule(g as Tensor, y as Tensor)],
    emit({ inputs, outputs }, onnx) {
      onnx.node(
        onnxType,
        inputs.map((t) => t.name),
        outputs.map((t) => t.name),
        { axis: -1 },
      )
    },
  }
}

const rowSum = (x: Tensor): Tensor => reduceSum(x, [x.shape.length - 1], true)

const softmaxOp_ = softmaxOp('softmax', 'Softmax', (g, y) => mul(y, sub(g, rowSum(mul(g, y)))))
const logSoftmaxOp = softmaxOp('logSoftmax', 'LogSoftmax', (g, y) => sub(g, mul(exp(y), rowSum(g))))

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => apply(softmaxOp_, [x], null)

/** Logarithm of the softmax over the last axis. */
export const logSoftmax = (x: Tensor): Tensor => apply(logSoftmaxOp, [x], null)

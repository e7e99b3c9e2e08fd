/** ReLU, and activations of the form x σ(u(x)): SiLU, QuickGELU and the GELU that is approximated by tanh. */

import { apply, applyAll, namesOf, type Op, scalar, type Tensor } from '../graph.js'
import { add, less, mul, scale, sub, where } from './elementwise.js'

/**
 * How u(x) = α (x + β x³), and ONNX Runtime's operator for it. The tanh form of GELU (Hendrycks & Gimpel,
 * arXiv 1606.08415), x/2 (1 + tanh z), is x σ(2z) with z = √(2/π) (x + 0.044715 x³).
 */
const kinds = {
  silu: { alpha: 1, beta: 0, contrib: 'QuickGelu', attributes: { alpha: { float: 1 } } },
  quick: { alpha: 1.702, beta: 0, contrib: 'QuickGelu', attributes: { alpha: { float: 1.702 } } },
  tanh: { alpha: 2 * Math.sqrt(2 / Math.PI), beta: 0.044715, contrib: 'FastGelu', attributes: {} },
} as const

/** Outputs the result and, for the backward pass, σ(u(x)). */
const gatedOp: Op<{ kind: keyof typeof kinds }> = {
  name: 'gated',
  infer: ([x]) => [x as Tensor, x as Tensor],
  emit({ inputs, outputs: [y, gate], attrs: { kind } }, onnx) {
    const [x] = namesOf(inputs) as [string]
    const [result, sigmoid] = [y as Tensor, gate as Tensor]
    const { alpha, beta, contrib, attributes } = kinds[kind]
    if (onnx.contrib && !onnx.used(sigmoid)) {
      onnx.node(contrib, [x], [result.name], attributes, 'com.microsoft')
      return
    }
    const value = (v: number) => onnx.constant(Float32Array.of(v), [])
    const [u] = onnx.node('Mul', [x, beta === 0 ? value(alpha) : (slope(x) as string)], 1) as [string]
    onnx.node('Sigmoid', [u], [sigmoid.name])
    onnx.node('Mul', [x, sigmoid.name], [result.name])

    /** α (1 + β x²). */
    function slope(x: string) {
      const [square] = onnx.node('Mul', [x, x], 1) as [string]
      const [scaled] = onnx.node('Mul', [square, value(alpha * beta)], 1) as [string]
      return onnx.node('Add', [scaled, value(alpha)], 1)[0]
    }
  },
  // σ + x σ (1 - σ) u', where u' = α (1 + 3 β x²).
  gradient({ inputs: [x], outputs: [, gate], attrs: { kind } }, [g]) {
    const { alpha, beta } = kinds[kind]
    const [input, s] = [x as Tensor, gate as Tensor]
    const { graph } = input
    const linear = scale(input, alpha)
    const xSlope = beta === 0 ? linear : add(linear, scale(mul(mul(input, input), input), 3 * alpha * beta)) // x u'
    const factor = mul(s, add(mul(xSlope, sub(scalar(graph, 1), s)), scalar(graph, 1)))
    return [mul(g as Tensor, factor)]
  },
}

/** x σ(x) (Hendrycks & Gimpel, arXiv 1606.08415; Elfwing et al., arXiv 1702.03118), in gated MLPs. */
export const silu = (x: Tensor): Tensor => applyAll(gatedOp, [x], { kind: 'silu' })[0] as Tensor

/** x σ(1.702 x), of OpenAI's CLIP. */
export const quickGelu = (x: Tensor): Tensor => applyAll(gatedOp, [x], { kind: 'quick' })[0] as Tensor

/** x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))). */
export const geluTanh = (x: Tensor): Tensor => applyAll(gatedOp, [x], { kind: 'tanh' })[0] as Tensor

const reluOp: Op<null> = {
  name: 'relu',
  infer: ([x]) => [x as Tensor],
  emit(node, onnx) {
    onnx.node('Relu', namesOf(node.inputs), namesOf(node.outputs))
  },
  gradient({ outputs: [y] }, [g]) {
    const zero = scalar((y as Tensor).graph, 0)
    return [where(less(zero, y as Tensor), g as Tensor, zero)]
  },
}

/** max(x, 0). */
export const relu = (x: Tensor): Tensor => apply(reluOp, [x], null)

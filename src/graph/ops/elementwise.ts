/** Elementwise operators with broadcasting. */

import { broadcast } from '../dims.js'
import { apply, applyAll, type DType, namesOf, type Op, scalar, type Tensor } from '../graph.js'
import { sumTo } from './broadcast.js'

/** The gradient of a binary operator's two inputs, before it is summed over what was broadcast. */
type BinaryRule = (g: Tensor, a: Tensor, b: Tensor, y: Tensor) => readonly [Tensor, Tensor]

function binaryOp(name: string, onnxType: string, rule?: BinaryRule, result?: DType): Op<null> {
  return {
    name,
    ...(rule && {
      gradient({ inputs, outputs: [y] }, [g]) {
        const [a, b] = inputs as [Tensor, Tensor]
        const [da, db] = rule(g as Tensor, a, b, y as Tensor)
        return [sumTo(da, a.shape), sumTo(db, b.shape)]
      },
    }),
    infer([a, b]) {
      if (!a || !b || a.dtype !== b.dtype) throw new Error(`element types ${a?.dtype} and ${b?.dtype} differ`)
      return [{ dtype: result ?? a.dtype, shape: broadcast(a.shape, b.shape) }]
    },
    emit(node, onnx) {
      onnx.node(onnxType, namesOf(node.inputs), namesOf(node.outputs))
    },
  }
}

function unaryOp(name: string, onnxType: string, rule: (g: Tensor, x: Tensor, y: Tensor) => Tensor): Op<null> {
  return {
    name,
    infer: ([x]) => [x as Tensor],
    gradient: ({ inputs: [x], outputs: [y] }, [g]) => [rule(g as Tensor, x as Tensor, y as Tensor)],
    emit(node, onnx) {
      onnx.node(onnxType, namesOf(node.inputs), namesOf(node.outputs))
    },
  }
}

const addOp = binaryOp('add', 'Add', (g) => [g, g])
const subOp = binaryOp('sub', 'Sub', (g) => [g, neg(g)])
const mulOp = binaryOp('mul', 'Mul', (g, a, b) => [mul(g, b), mul(g, a)])
const divOp = binaryOp('div', 'Div', (g, _, b, y) => [div(g, b), neg(mul(g, div(y, b)))])
const equalOp = binaryOp('equal', 'Equal', undefined, 'bool')
const lessOp = binaryOp('less', 'Less', undefined, 'bool')
const negOp = unaryOp('neg', 'Neg', neg)
const expOp = unaryOp('exp', 'Exp', (g, _, y) => mul(g, y))
const logOp = unaryOp('log', 'Log', (g, x) => div(g, x))
const sigmoidOp = unaryOp('sigmoid', 'Sigmoid', (g, _, y) => mul(g, sub(y, mul(y, y))))
const sqrtOp = unaryOp('sqrt', 'Sqrt', (g, _, y) => div(g, mul(y, scalar(y.graph, 2))))

export const add = (a: Tensor, b: Tensor): Tensor => apply(addOp, [a, b], null)
export const sub = (a: Tensor, b: Tensor): Tensor => apply(subOp, [a, b], null)
export const mul = (a: Tensor, b: Tensor): Tensor => apply(mulOp, [a, b], null)
export const div = (a: Tensor, b: Tensor): Tensor => apply(divOp, [a, b], null)
export const equal = (a: Tensor, b: Tensor): Tensor => apply(equalOp, [a, b], null)
export const less = (a: Tensor, b: Tensor): Tensor => apply(lessOp, [a, b], null)
export const exp = (x: Tensor): Tensor => apply(expOp, [x], null)
export const log = (x: Tensor): Tensor => apply(logOp, [x], null)
export const sqrt = (x: Tensor): Tensor => apply(sqrtOp, [x], null)
export const sigmoid = (x: Tensor): Tensor => apply(sigmoidOp, [x], null)
export function neg(x: Tensor): Tensor {
  return apply(negOp, [x], null)
}

const detachOp: Op<null> = {
  name: 'detach',
  infer: ([x]) => [x as Tensor],
  emit(node, onnx) {
    onnx.node('Identity', namesOf(node.inputs), namesOf(node.outputs))
  },
  gradient: () => [undefined],
}

/** x, through which no gradient flows. */
export const detach = (x: Tensor): Tensor => apply(detachOp, [x], null)

/** x · s for a number s. */
export const scale = (x: Tensor, s: number): Tensor => (s === 1 ? x : mul(x, scalar(x.graph, s)))

const whereOp: Op<null> = {
  name: 'where',
  infer([condition, a, b]) {
    if (condition?.dtype !== 'bool') throw new Error(`a condition is bool, found ${condition?.dtype}`)
    if (!a || !b || a.dtype !== b.dtype) throw new Error(`element types ${a?.dtype} and ${b?.dtype} differ`)
    return [{ dtype: a.dtype, shape: broadcast(condition.shape, broadcast(a.shape, b.shape)) }]
  },
  emit(node, onnx) {
    onnx.node('Where', namesOf(node.inputs), namesOf(node.outputs))
  },
  gradient({ inputs }, [gradient]) {
    const [condition, a, b] = inputs as [Tensor, Tensor, Tensor]
    const g = gradient as Tensor
    const none = scalar(g.graph, 0)
    return [undefined, sumTo(where(condition, g, none), a.shape), sumTo(where(condition, none, g), b.shape)]
  },
}

/** Entries of `a` where the condition (bool) holds, of `b` elsewhere; both are computed. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return apply(whereOp, [condition, a, b], null)
}

const castOp: Op<{ to: DType }> = {
  name: 'cast',
  infer: ([x], { to }) => [{ dtype: to, shape: (x as Tensor).shape }],
  emit(node, onnx) {
    const codes: Record<DType, number> = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 }
    onnx.node('Cast', namesOf(node.inputs), namesOf(node.outputs), { to: codes[node.attrs.to] })
  },
  gradient: ({ inputs: [x] }, [g]) => [cast(g as Tensor, (x as Tensor).dtype)],
}

export const cast = (x: Tensor, to: DType): Tensor => apply(castOp, [x], { to })

/**
 * Exact GELU: x Φ(x) with the error function (Hendrycks & Gimpel, arXiv 1606.08415); outputs the result and, for the
 * backward pass, x/√2 and Φ(x).
 */
const geluOp: Op<null> = {
  name: 'gelu',
  infer: ([x]) => [x as Tensor, x as Tensor, x as Tensor],
  emit(node, onnx) {
    const [x] = namesOf(node.inputs) as [string]
    const [y, scaled, cdf] = node.outputs as [Tensor, Tensor, Tensor]
    const value = (v: number) => onnx.constant(Float32Array.of(v), [])
    if (onnx.used(scaled) || onnx.used(cdf)) {
      onnx.node('Mul', [x, value(Math.SQRT1_2)], [scaled.name])
      const [erf] = onnx.node('Erf', [scaled.name], 1) as [string]
      onnx.node('HardSigmoid', [erf], [cdf.name], { alpha: { float: 0.5 }, beta: { float: 0.5 } }) // (1 + erf) / 2 in one pass
      onnx.node('Mul', [x, cdf.name], [y.name])
      return
    }
    if (onnx.contrib) {
      onnx.node('Gelu', [x], [y.name], {}, 'com.microsoft')
      return
    }
    const [z] = onnx.node('Div', [x, value(Math.SQRT2)], 1) as [string]
    const [erf] = onnx.node('Erf', [z], 1) as [string]
    const [onePlus] = onnx.node('Add', [erf, value(1)], 1) as [string]
    const [product] = onnx.node('Mul', [x, onePlus], 1) as [string]
    onnx.node('Mul', [product, value(0.5)], [y.name])
  },
  // Φ(x) + x φ(x), where x φ(x) = z exp(-z²) / √π for z = x/√2; dividing by exp(z²) saves the negation.
  gradient({ outputs }, [g]) {
    const [, z, cdf] = outputs as [Tensor, Tensor, Tensor]
    const density = scale(div(z, exp(mul(z, z))), Math.PI ** -0.5)
    return [mul(g as Tensor, add(cdf, density))]
  },
}

export const gelu = (x: Tensor): Tensor => applyAll(geluOp, [x], null)[0] as Tensor

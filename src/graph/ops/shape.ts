/** Operators that move or view elements without computing. */

import { addDims, type Dim, elements, halfDim, type Shape } from '../dims.js'
import { apply, applyAll, constant, namesOf, type Op, type Tensor } from '../graph.js'
import { int64s, reshapeTarget } from '../onnx.js'

const reshapeOp: Op<{ shape: Shape }> = {
  name: 'reshape',
  infer([x], { shape }) {
    const { dtype, shape: from } = x as Tensor
    if (elements(from) !== elements(shape)) throw new Error(`[${from}] does not reshape to [${shape}]`)
    return [{ dtype, shape }]
  },
  emit({ inputs, outputs, attrs }, onnx) {
    const target = reshapeTarget((inputs[0] as Tensor).shape, attrs.shape)
    onnx.node('Reshape', [...namesOf(inputs), onnx.constant(int64s(target), [target.length])], namesOf(outputs))
  },
  gradient: ({ inputs: [x] }, [g]) => [reshape(g as Tensor, (x as Tensor).shape)],
}

/** The same elements in another shape. */
export const reshape = (x: Tensor, shape: Shape): Tensor =>
  x.data
    ? constant(x.graph, x.data, shape as readonly number[], x.name, x.dtype) // a view of a constant is a constant
    : apply(reshapeOp, [x], { shape })

const transposeOp: Op<{ perm: readonly number[] }> = {
  name: 'transpose',
  infer([x], { perm }) {
    const { dtype, shape } = x as Tensor
    if (perm.length !== shape.length) throw new Error(`permutation [${perm}] does not fit`)
    return [{ dtype, shape: perm.map((axis) => shape[axis] as Dim) }]
  },
  emit({ inputs, outputs, attrs }, onnx) {
    onnx.node('Transpose', namesOf(inputs), namesOf(outputs), { perm: attrs.perm })
  },
  gradient: ({ attrs: { perm } }, [g]) => [
    transpose(
      g as Tensor,
      perm.map((_, axis) => perm.indexOf(axis)),
    ),
  ],
}

/** Axes in another order: output axis i is input axis `perm[i]`. */
export const transpose = (x: Tensor, perm: readonly number[]): Tensor => apply(transposeOp, [x], { perm })

const everySecondOp: Op<{ axis: number; which: 'even' | 'odd'; from: number }> = {
  name: 'everySecond',
  infer([x], { axis, which, from }) {
    const { dtype, shape } = x as Tensor
    return [{ dtype, shape: shape.map((dim, i) => (i === axis ? halfDim(addDims(dim, -from), which) : dim)) }]
  },
  emit({ inputs, outputs, attrs: { axis, which, from } }, onnx) {
    const bounds = [BigInt(from + Number(which === 'odd')), 2n ** 62n, BigInt(axis), 2n] // start, end, axis, step
    const named = bounds.map((value) => onnx.constant(BigInt64Array.of(value), [1]))
    onnx.node('Slice', [...namesOf(inputs), ...named], namesOf(outputs))
  },
  gradient: () => [undefined],
}

/** Of the elements behind the first `from` along an axis, those of even or odd numbers, from 0. No gradient flows. */
export const everySecond = (x: Tensor, axis: number, which: 'even' | 'odd', from = 0): Tensor =>
  apply(everySecondOp, [x], { axis, which, from })

interface SliceAttributes {
  readonly axis: number
  readonly start: number
  /** Exclusive; negative = counted from the end; absent = to the end. */
  readonly end: number | undefined
}

const sliceOp: Op<SliceAttributes> = {
  name: 'slice',
  infer([x], { axis, start, end }) {
    const { dtype, shape } = x as Tensor
    const size = shape[axis]
    if (size === undefined) throw new Error(`no axis ${axis}`)
    if (typeof size === 'number' && (start > size || (end ?? size) > size)) throw new Error(`slice exceeds ${size}`)
    const length = end === undefined || end < 0 ? addDims(size, (end ?? 0) - start) : end - start
    return [{ dtype, shape: shape.map((dim, i) => (i === axis ? length : dim)) }]
  },
  emit({ inputs, outputs, attrs: { axis, start, end } }, onnx) {
    const one = (value: number | bigint) => onnx.constant(BigInt64Array.of(BigInt(value)), [1])
    const stop = end ?? 2n ** 62n
    onnx.node('Slice', [...namesOf(inputs), one(start), one(stop), one(axis)], namesOf(outputs))
  },
  gradient({ inputs: [x], attrs: { axis, start, end } }, [g]) {
    const after = end === undefined || end < 0 ? -(end ?? 0) : addDims((x as Tensor).shape[axis] as Dim, -end)
    if (typeof after === 'string') return [apply(padLikeOp, [g as Tensor, x as Tensor], { axis, before: start })]
    return [pad(g as Tensor, axis, start, after)]
  },
}

const padOp: Op<{ axis: number; before: number; after: number }> = {
  name: 'pad',
  infer([x], { axis, before, after }) {
    const { dtype, shape } = x as Tensor
    return [{ dtype, shape: shape.map((dim, i) => (i === axis ? addDims(dim, before + after) : dim)) }]
  },
  emit({ inputs: [x], outputs, attrs: { axis, before, after } }, onnx) {
    const { name, shape } = x as Tensor
    const pads = shape.flatMap((_, i) => (i === axis ? [before] : [0]))
    const ends = shape.flatMap((_, i) => (i === axis ? [after] : [0]))
    onnx.node('Pad', [name, onnx.constant(int64s([...pads, ...ends]), [2 * shape.length])], namesOf(outputs))
  },
  gradient: ({ inputs: [x], attrs: { axis, before } }, [g]) => {
    const size = (x as Tensor).shape[axis] as Dim
    if (typeof size === 'string') throw new Error(`pad: no gradient along an axis of unknown size ${size}`)
    return [slice(g as Tensor, axis, before, before + size)]
  },
}

/** Zeros before, and as many behind as make it as long as another tensor whose length is known when the graph runs. */
const padLikeOp: Op<{ axis: number; before: number }> = {
  name: 'padLike',
  infer: ([, like]) => [like as Tensor],
  emit({ inputs: [x, like], outputs, attrs: { axis, before } }, onnx) {
    const { name, shape } = x as Tensor
    const lengths = [like as Tensor, x as Tensor].map(
      (t) => onnx.node('Shape', [t.name], 1, { start: axis, end: axis + 1 })[0] as string,
    )
    const [missing] = onnx.node('Sub', lengths, 1) as [string]
    const [after] = onnx.node('Sub', [missing, onnx.constant(int64s([before]), [1])], 1) as [string]
    const zeros = (count: number) =>
      count > 0 ? [onnx.constant(int64s(new Array<number>(count).fill(0)), [count])] : []
    const begins = onnx.constant(int64s(shape.map((_, i) => (i === axis ? before : 0))), [shape.length])
    const pads = onnx.node('Concat', [begins, ...zeros(axis), after, ...zeros(shape.length - axis - 1)], 1, { axis: 0 })
    onnx.node('Pad', [name, ...pads], namesOf(outputs))
  },
}

/** Zeros before and after, along an axis. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  return before + after === 0 ? x : apply(padOp, [x], { axis, before, after })
}

/** Elements `start … end - 1` along an axis; a negative `end` counts from behind. */
export function slice(x: Tensor, axis: number, start: number, end?: number): Tensor {
  if (!x.data || axis !== 0) return apply(sliceOp, [x], { axis, start, end })
  const [rows, ...rest] = x.shape as readonly [number, ...number[]]
  const stride = rest.reduce((a, b) => a * b, 1)
  const stop = end === undefined || end < 0 ? rows + (end ?? 0) : end
  const view = x.data.subarray(start * stride, stop * stride) // leading rows of a constant are a constant, uncopied
  return constant(x.graph, view, [stop - start, ...rest], `${x.name}[${start}:${stop}]`, x.dtype)
}

const concatOp: Op<{ axis: number }> = {
  name: 'concat',
  infer(inputs, { axis }) {
    const { dtype, shape } = inputs[0] as Tensor
    const size = inputs.map((t) => t.shape[axis] as Dim).reduce(addDims)
    return [{ dtype, shape: shape.map((dim, i) => (i === axis ? size : dim)) }]
  },
  emit({ inputs, outputs, attrs }, onnx) {
    onnx.node('Concat', namesOf(inputs), namesOf(outputs), { axis: attrs.axis })
  },
  gradient({ inputs, attrs: { axis } }, [g]) {
    let start = 0
    return inputs.map((x, i) => {
      const size = x.shape[axis] as Dim
      const last = i === inputs.length - 1
      if (typeof size === 'string' && !last)
        throw new Error(`concat: no gradient behind a part of unknown size ${size}`)
      const from = start
      start += Number(size)
      return slice(g as Tensor, axis, from, last ? undefined : start)
    })
  },
}

export const concat = (tensors: readonly Tensor[], axis: number): Tensor =>
  tensors.length === 1 ? (tensors[0] as Tensor) : apply(concatOp, tensors, { axis })

const splitOp: Op<{ axis: number; parts: number }> = {
  name: 'split',
  infer([x], { axis, parts }) {
    const { dtype, shape } = x as Tensor
    const size = shape[axis] as number
    if (size % parts !== 0) throw new Error(`${size} does not split into ${parts}`)
    return Array.from({ length: parts }, () => ({
      dtype,
      shape: shape.map((dim, i) => (i === axis ? size / parts : dim)),
    }))
  },
  emit({ inputs, outputs, attrs: { axis } }, onnx) {
    onnx.node('Split', namesOf(inputs), namesOf(outputs), { axis })
  },
  gradient: ({ outputs, attrs: { axis } }, gs) => [
    concat(
      outputs.map((y, i) => gs[i] ?? zerosLike(y)),
      axis,
    ),
  ],
}

/** Equal parts along an axis of known size. */
export function split(x: Tensor, axis: number, parts: number): readonly Tensor[] {
  if (!x.data || axis !== 0) return applyAll(splitOp, [x], { axis, parts })
  const rows = (x.shape[0] as number) / parts
  return Array.from({ length: parts }, (_, i) => slice(x, 0, i * rows, (i + 1) * rows))
}

const zerosOp: Op<null> = {
  name: 'zerosLike',
  infer: ([x]) => [x as Tensor],
  emit({ inputs: [x], outputs }, onnx) {
    const { name, shape } = x as Tensor
    const size = shape.every((dim) => typeof dim === 'number')
      ? onnx.constant(int64s(shape), [shape.length])
      : (onnx.node('Shape', [name], 1)[0] as string)
    onnx.node('ConstantOfShape', [size], namesOf(outputs)) // float32 0 by default
  },
  gradient: () => [undefined],
}

/** Float32 zeros in the shape of x. */
export const zerosLike = (x: Tensor): Tensor => apply(zerosOp, [x], null)

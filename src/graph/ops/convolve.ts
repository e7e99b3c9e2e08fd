/**
 * Convolutions of pictures, `[B, channels, height, width]`, with kernels in PyTorch's layout `[out, in, kh, kw]`.
 *
 * With stride s and p zeros on every side: y[o, i, j] = b[o] + Σ w[o, c, u, v] x[c, s·i + u - p, s·j + v - p]. Both
 * gradients are convolutions again (Dumoulin & Visin, arXiv 1603.07285, section 4).
 */

import { type Dim, evaluateDim } from '../dims.js'
import { apply, namesOf, type Op, type Tensor } from '../graph.js'
import { reduceSum } from './broadcast.js'
import { slice, transpose } from './shape.js'

interface Window {
  /** Pixels from one place of the kernel to the next, both ways; default 1. */
  readonly stride: number
  /** Zeros around the picture; default 0. */
  readonly padding: number
}

const sides = (padding: number): number[] => [padding, padding, padding, padding]

/** How often a kernel fits into a side. */
const places = (side: number, kernel: number, { stride, padding }: Window): number =>
  Math.floor((side + 2 * padding - kernel) / stride) + 1

/** Height and width of a tensor of four axes; throws where a size is not known before the graph runs. */
function sizeOf(x: Tensor | undefined, what: string): readonly [number, number] {
  const size = x?.shape.length === 4 ? x.shape.slice(2) : []
  if (size.length !== 2 || size.some((side) => typeof side !== 'number'))
    throw new Error(`${what} wants four axes with known height and width, found [${x?.shape}]`)
  return size as [number, number]
}

/** One multiply-add for every weight at every place of every picture. */
const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1)

const convolveOp: Op<Window> = {
  name: 'convolve',
  infer([x, w, b], window) {
    const [size, kernel] = [sizeOf(x, 'a picture'), sizeOf(w, 'a kernel')]
    const [[B, inner], [out, wanted]] = [(x as Tensor).shape, (w as Tensor).shape] as [Dim[], Dim[]]
    if (inner !== wanted) throw new Error(`${inner} channels, the kernel has ${wanted}`)
    if (b && (b.shape.length !== 1 || b.shape[0] !== out)) throw new Error(`bias [${b.shape}] is not [${out}]`)
    const placed = size.map((side, i) => places(side, kernel[i] as number, window))
    if (placed.some((count) => count < 1)) throw new Error(`a kernel of ${kernel} does not fit into ${size}`)
    return [{ dtype: (x as Tensor).dtype, shape: [B as Dim, out as Dim, ...placed] }]
  },
  emit({ inputs, outputs, attrs: { stride, padding } }, onnx) {
    const [, w] = inputs as [Tensor, Tensor]
    const attributes = { kernel_shape: [...sizeOf(w, 'a kernel')], strides: [stride, stride], pads: sides(padding) }
    onnx.node('Conv', namesOf(inputs), namesOf(outputs), attributes)
  },
  macs: ({ inputs: [, w], outputs: [y] }, size) =>
    product(size((y as Tensor).shape)) * product((w as Tensor).shape.slice(1).map((dim) => evaluateDim(dim))),
  gradient({ inputs, attrs }, [gradient]) {
    const [x, w] = inputs as [Tensor, Tensor]
    const g = gradient as Tensor // [B, out, h, w]
    return [apply(inputGradientOp, [g, w, x], attrs), kernelGradient(x, g, w, attrs), reduceSum(g, [0, 2, 3])]
  },
}

/** dx: every place hands its gradient back to the pixels that it read. Inputs: dy, w, and x for its shape. */
const inputGradientOp: Op<Window> = {
  name: 'convolveInputGradient',
  infer: ([, , x]) => [{ dtype: (x as Tensor).dtype, shape: (x as Tensor).shape }],
  emit({ inputs, outputs, attrs }, onnx) {
    const [g, w, x] = inputs as [Tensor, Tensor, Tensor]
    const [size, kernel] = [sizeOf(x, 'a picture'), sizeOf(w, 'a kernel')]
    const { stride, padding } = attrs
    // Pixels at the far sides that no place of the kernel reached.
    const beyond = size.map((side, i) => (side + 2 * padding - (kernel[i] as number)) % stride)
    onnx.node('ConvTranspose', namesOf([g, w]), namesOf(outputs), {
      kernel_shape: [...kernel],
      strides: [stride, stride],
      pads: sides(padding),
      output_padding: beyond,
    })
  },
  macs: ({ inputs: [g, w] }, size) =>
    product(size((g as Tensor).shape)) * product((w as Tensor).shape.slice(1).map((dim) => evaluateDim(dim))),
}

/** Pictures as the kernel's channels: the product of `dilation`-spaced places over all pictures. Inputs: x, dy. */
const correlateOp: Op<Window> = {
  name: 'correlate',
  infer([x, g], { stride, padding }) {
    const [size, placed] = [sizeOf(x, 'a picture'), sizeOf(g, 'a gradient')]
    const steps = size.map((side, i) => side + 2 * padding - stride * ((placed[i] as number) - 1))
    return [
      { dtype: (x as Tensor).dtype, shape: [(x as Tensor).shape[0] as Dim, (g as Tensor).shape[0] as Dim, ...steps] },
    ]
  },
  emit({ inputs, outputs, attrs: { stride, padding } }, onnx) {
    onnx.node('Conv', namesOf(inputs), namesOf(outputs), { dilations: [stride, stride], pads: sides(padding) })
  },
  macs: ({ inputs: [, g], outputs: [y] }, size) =>
    product(size((y as Tensor).shape)) * product(size((g as Tensor).shape).slice(1)),
}

/** dw[o, c, u, v] = Σ over pictures and places of dy[o, i, j] x[c, s·i + u - p, s·j + v - p]. */
function kernelGradient(x: Tensor, g: Tensor, w: Tensor, window: Window): Tensor {
  const swapped = (t: Tensor) => transpose(t, [1, 0, 2, 3])
  const found = apply(correlateOp, [swapped(x), swapped(g)], window) // [in, out, at least kh, at least kw]
  const [height, width] = sizeOf(w, 'a kernel')
  const [rows, columns] = sizeOf(found, 'a gradient')
  const high = rows === height ? found : slice(found, 2, 0, height)
  return swapped(columns === width ? high : slice(high, 3, 0, width)) // [out, in, kh, kw]
}

/** Convolution: x `[B, in, H, W]`, weight `[out, in, kh, kw]`, bias `[out]` → `[B, out, h, w]`. */
export const convolve = (x: Tensor, weight: Tensor, bias?: Tensor, window: Partial<Window> = {}): Tensor =>
  apply(convolveOp, bias ? [x, weight, bias] : [x, weight], { stride: 1, padding: 0, ...window })

/** Gradients of several batches in one step, and clipping by the global norm. */

/** Adds `gradients` to `sum`, in place. */
export function accumulate(sum: Float32Array, gradients: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradients[i] as number)
}

/** The Euclidean norm of all gradients together; NaN or infinite when one of them is. */
export function globalNorm(gradients: Float32Array): number {
  let sum = 0
  for (let i = 0; i < gradients.length; i++) sum += (gradients[i] as number) ** 2
  return Math.sqrt(sum)
}

/** Added to the norm before dividing, as PyTorch's `clip_grad_norm_` does. */
const TINY = 1e-6

/** The factor, at most 1, that brings gradients of this norm down to `maxNorm`. */
export const clipFactor = (norm: number, maxNorm: number): number => Math.min(1, maxNorm / (norm + TINY))

/** The exponential moving average of the weights (Polyak and Juditsky 1992; DeiT evaluates it, arXiv 2012.12877). */

/**
 * average ← decay · average + (1 - decay) · values, in place.
 *
 * @param decay - 0.99996 in the official recipe
 */
export function updateAverage(average: Float32Array, values: Float32Array, decay: number): void {
  const rest = 1 - decay
  for (let i = 0; i < average.length; i++) average[i] = decay * (average[i] as number) + rest * (values[i] as number)
}

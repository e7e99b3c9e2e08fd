/**
 * Elementary functions with the same bits on every engine. Math.exp, Math.log and Math.sin may differ in the last bit
 * between engines, which would move a crop by a pixel; these use + - * / only, which IEEE 754 fixes.
 */

/** eˣ by the Taylor series of e^(x/2ᵏ), squared k times; for |x| up to a few hundred. */
export function exp(x: number): number {
  let halvings = 0
  let small = x
  while (Math.abs(small) > 0.25) {
    small /= 2
    halvings++
  }
  let sum = 1
  for (let n = 14; n >= 1; n--) sum = 1 + (small * sum) / n
  for (; halvings > 0; halvings--) sum *= sum
  return sum
}

/** ln x for x > 0: x = m 2ᵏ with m in [√½, √2), ln m = 2 artanh((m - 1) / (m + 1)) by its series. */
export function log(x: number): number {
  let m = x
  let k = 0
  for (; m < Math.SQRT1_2; k--) m *= 2
  for (; m >= Math.SQRT2; k++) m /= 2
  const z = (m - 1) / (m + 1)
  const square = z * z // at most 0.0295, so the term in z²³ is below 1e-18
  let sum = 0
  for (let n = 21; n >= 1; n -= 2) sum = sum * square + 1 / n
  return 2 * z * sum + k * Math.LN2
}

/** Sine and cosine of an angle in degrees between -90 and 90, by their Taylor series. */
export function sineCosine(degrees: number): readonly [sine: number, cosine: number] {
  const x = (degrees * Math.PI) / 180
  const square = x * x
  let sine = 1
  let cosine = 1
  for (let n = 24; n >= 2; n -= 2) {
    sine = 1 - (square * sine) / (n * (n + 1))
    cosine = 1 - (square * cosine) / ((n - 1) * n)
  }
  return [x * sine, cosine]
}

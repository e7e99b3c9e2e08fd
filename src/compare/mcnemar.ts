/** Two models on the same pictures: is the difference more than chance? */

/**
 * McNemar's exact test (McNemar 1947, Psychometrika 12:153; exact form: Fay 2010, Biostatistics 11:373): of the pictures on
 * which two models differ, each would win half by chance.
 *
 * @param gained - pictures that the one alone gets right
 * @param lost - pictures that the other alone gets right
 * @returns the two-sided p value
 */
export function mcNemar(gained: number, lost: number): number {
  const n = gained + lost
  const fewer = Math.min(gained, lost)
  // The largest term of the tail, C(n, fewer) / 2ⁿ, as a logarithm: 2ⁿ alone would leave the range of numbers.
  let logTerm = -n * Math.LN2
  for (let i = 1; i <= fewer; i++) logTerm += Math.log((n - i + 1) / i)
  let [term, tail] = [1, 1]
  for (let i = fewer; i > 0; i--) {
    term *= i / (n - i + 1)
    tail += term
  }
  return Math.min(1, 2 * Math.exp(logTerm) * tail)
}

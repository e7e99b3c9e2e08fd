/**
 * Over-smoothing: how alike the tokens of a block have become (IdleViT, arXiv 2310.05654, Figure 6).
 */

/**
 * Mean cosine similarity over all pairs of different rows.
 *
 * With unit rows u the sum over all pairs, equal ones among them, is |Σ u|²; the n equal pairs are 1 each and leave it.
 * A row of zeros is like no other.
 *
 * @param rows - `[n, C]`
 * @returns between -1/(n - 1) and 1; NaN for fewer than two rows
 */
export function meanCosineSimilarity(rows: Float32Array, width: number): number {
  const n = rows.length / width
  if (!Number.isInteger(n)) throw new Error(`rows: wanted a multiple of ${width} values, found ${rows.length}`)
  const sum = new Float64Array(width) // [C]
  let equal = 0
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width) // [C]
    const norm = Math.sqrt(row.reduce((squares, value) => squares + value * value, 0))
    if (norm === 0) continue
    equal++
    for (let c = 0; c < width; c++) sum[c] = (sum[c] as number) + (row[c] as number) / norm
  }
  const pairs = sum.reduce((squares, value) => squares + value * value, 0)
  return (pairs - equal) / (n * (n - 1))
}

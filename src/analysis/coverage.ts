/**
 * Object coverage: how much of the object lies in the tokens that a block computes. A choice of tokens that knows nothing
 * covers as much of the object as of the picture.
 */

/**
 * Object pixels of every token, in raster order: what masks become before they are compared with selections.
 *
 * @param mask - how much of each pixel the object covers, 0 to 255, `[S, S]`
 * @param patchSize - side of a token in pixels
 * @returns pixels by token, `[tokens]`, parts of pixels counted as such
 */
export function objectPixels(mask: Uint8Array, patchSize: number): Float64Array {
  const side = Math.sqrt(mask.length)
  const grid = side / patchSize
  if (!Number.isInteger(side) || !Number.isInteger(grid))
    throw new Error(`mask: wanted a square of whole patches of ${patchSize} pixels, found ${mask.length} pixels`)
  const pixels = new Float64Array(grid * grid) // [tokens]
  for (const [at, share] of mask.entries()) {
    const [y, x] = [Math.floor(at / side), at % side]
    const token = Math.floor(y / patchSize) * grid + Math.floor(x / patchSize)
    pixels[token] = (pixels[token] as number) + share / 255
  }
  return pixels
}

/**
 * The share of the object's pixels that lie in the selected tokens.
 *
 * @param pixels - of {@link objectPixels}
 * @param selected - tokens in raster order, each once
 * @returns 0 to 1; NaN where there is no object
 */
export function coverage(pixels: Float64Array, selected: ArrayLike<number>): number {
  const covered = Array.from(selected).reduce((sum, token) => sum + (pixels[token] as number), 0)
  return covered / pixels.reduce((sum, each) => sum + each, 0)
}

/** Coverage in one block, means over pictures, of as many tokens chosen in three ways. */
export interface BlockCoverage {
  readonly block: number
  /** Image tokens chosen. */
  readonly kept: number
  /** By the idle model. */
  readonly idle: number
  /** By the class attention of the dense model in the same block. */
  readonly dense: number
  /** At random: what is to be expected. */
  readonly random: number
}

/** One picture's object, what the idle model computed, and how the dense model ranks its tokens. */
export interface CoveredPicture {
  /** Of {@link objectPixels}. */
  readonly pixels: Float64Array
  /** Tokens that every block of the idle model computes, `[depth][kept]`. */
  readonly selected: readonly ArrayLike<number>[]
  /** All tokens from most to least class attention in every block of the dense model, `[depth][tokens]`. */
  readonly ranked: readonly ArrayLike<number>[]
}

/** Coverage block by block; pictures without an object are left out. */
export function coverageByBlock(pictures: readonly CoveredPicture[]): BlockCoverage[] {
  const seen = pictures.filter(({ pixels }) => pixels.some((each) => each > 0))
  const mean = (value: (picture: CoveredPicture) => number) =>
    seen.reduce((sum, picture) => sum + value(picture), 0) / seen.length
  return Array.from(pictures[0]?.selected ?? [], ({ length: kept }, block) => ({
    block,
    kept,
    idle: mean(({ pixels, selected }) => coverage(pixels, selected[block] ?? [])),
    dense: mean(({ pixels, ranked }) => coverage(pixels, Array.from(ranked[block] ?? []).slice(0, kept))),
    random: kept / (pictures[0]?.pixels.length ?? Number.NaN),
  }))
}

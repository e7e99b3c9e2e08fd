/**
 * Random erasing (Zhong et al., arXiv 1708.04896) in timm's `pixel` mode: a rectangle of a normalised picture becomes
 * standard normal noise.
 */
import { inverseNormal, type Random } from '../../random.js'
import { type Sides, sidesOf } from '../sides.js'
import { between, logBetween, type Range } from './crop.js'

const area: Range = [0.02, 1 / 3]
const aspect: Range = [0.3, 1 / 0.3]
const TRIES = 10

let quantiles: Float32Array | undefined

/** 65,536 equally likely standard normal numbers: noise at two to a draw, instead of a logarithm each. */
function normalTable(): Float32Array {
  quantiles ??= Float32Array.from({ length: 65536 }, (_, i) => inverseNormal((i + 0.5) / 65536))
  return quantiles
}

/** Erases one rectangle of 2 to 33 % of a picture [3, rows, columns], in place. */
export function eraseRandom(pixels: Float32Array, size: Sides, random: Random): void {
  const [rows, columns] = sidesOf(size)
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const wanted = between(random, area) * rows * columns
    const ratio = logBetween(random, aspect)
    const height = Math.round(Math.sqrt(wanted * ratio))
    const width = Math.round(Math.sqrt(wanted / ratio))
    if (width >= columns || height >= rows || width < 1 || height < 1) continue
    const top = random.integer(rows - height + 1)
    const left = random.integer(columns - width + 1)
    const normal = normalTable()
    for (let channel = 0; channel < 3; channel++) {
      for (let y = top; y < top + height; y++) {
        const line = (channel * rows + y) * columns
        for (let p = line + left; p < line + left + width; p += 2) {
          const bits = random.bits()
          pixels[p] = normal[bits >>> 16] as number
          if (p + 1 < line + left + width) pixels[p + 1] = normal[bits & 0xffff] as number
        }
      }
    }
    return
  }
}

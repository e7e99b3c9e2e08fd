/**
 * Procedural scenes: an endless labelled set of pictures of common objects, drawn as vector shapes among clutter.
 *
 * Every picture is a function of (seed, index) and nothing else: it has a random stream of its own, and only operations
 * that IEEE 754 fixes are used, so its pixels are the same on every platform and in any order. Pictures of different
 * seeds have nothing in common, which keeps training and test pictures apart.
 */
import { fail } from '../../errors.js'
import type { RgbImage } from '../../images/resample.js'
import { keyedRandom } from '../../keyed-random.js'
import { type Random, shuffle } from '../../random.js'
import { paintBackground, patch } from './background.js'
import { between, chance, count, pick } from './draws.js'
import { direction } from './geometry.js'
import { type Finish, paintParts, placed, turned } from './object.js'
import { anyColour, type Canvas, dull, lay, lively, surface } from './paint.js'
import { type Coverage, coverage, SCENE_SIDE } from './raster.js'
import { objectClasses } from './shapes/table.js'

export { SCENE_SIDE } from './raster.js'

/** The names of the classes, by label. */
export const sceneClasses: readonly string[] = objectClasses.map(({ name }) => name)

/** Seeds that keep pictures for different uses apart. What is reported is measured on `test`. */
export const sceneSeeds = { train: 0, validation: 1, test: 2 } as const

/** A generated picture. */
export interface Scene {
  readonly image: RgbImage
  /** An index into {@link sceneClasses}. */
  readonly label: number
  /** How much of each pixel the visible part of the object covers, 0 to 255, [96, 96]. */
  readonly mask: Uint8Array
  /** The share of the object that something in front of it hides, 0 to 0.25. */
  readonly occlusion: number
}

/** Square root of the area of the rectangle around an object, in pixels; the largest is a third of the picture. */
const SIZE = { least: 38, most: 55 } as const

const MOST_HIDDEN = 0.25

/**
 * The label of a picture. Every run of as many pictures as there are classes, from a multiple of that number on, has
 * each class once, in random order.
 */
export function sceneLabel(seed: number, index: number): number {
  const { length } = sceneClasses
  const block = Math.floor(index / length)
  const order = shuffle(
    Array.from({ length }, (_, i) => i),
    keyedRandom(seed, 'scene labels', block),
  )
  return order[index % length] as number
}

/**
 * Picture `index` of the set of `seed`: 96×96, RGB.
 *
 * @param seed an integer from 0 to 2⁵³ - 1; see {@link sceneSeeds}
 * @param index an integer from 0 to 2³² - 1
 * @throws InputError when one of them is not
 */
export function scene(seed: number, index: number): Scene {
  if (!Number.isSafeInteger(seed) || seed < 0) fail(`scenes: the seed must be a non-negative integer, found ${seed}`)
  if (index !== index >>> 0) fail(`scenes: a picture's number must be an integer from 0 to 2^32 - 1, found ${index}`)
  const random = keyedRandom(seed, 'scene', index)
  const label = sceneLabel(seed, index)
  const { draw, tilt } = objectClasses[label] as (typeof objectClasses)[number]

  const canvas: Canvas = new Float32Array(SCENE_SIDE * SCENE_SIDE * 3) // [S, S, 3]
  const finish: Finish = pick(random, ['plain', 'outline', 'shadow'])
  paintBackground(random, canvas, finish)
  const parts = placed(random, turned(random, draw(random), tilt), between(random, SIZE.least, SIZE.most))
  const silhouette = paintParts(random, canvas, parts, finish, lively)
  const mask = new Float32Array(SCENE_SIDE * SCENE_SIDE) // [S, S]
  copyInto(mask, silhouette)
  const occlusion = chance(random, 0.6) ? hide(random, canvas, mask, silhouette) : 0
  return {
    image: { width: SCENE_SIDE, height: SCENE_SIDE, data: photograph(random, canvas) },
    label,
    mask: toBytes(mask),
    occlusion,
  }
}

/** The mask of {@link scene}. */
export const sceneMask = (seed: number, index: number): Uint8Array => scene(seed, index).mask

function toBytes(mask: Float32Array): Uint8Array {
  const bytes = new Uint8Array(mask.length)
  for (let i = 0; i < mask.length; i++) bytes[i] = Math.round((mask[i] as number) * 255)
  return bytes
}

function copyInto(mask: Float32Array, { left, top, width, height, share }: Coverage): void {
  for (let y = 0; y < height; y++) {
    mask.set(share.subarray(y * width, (y + 1) * width), (top + y) * SCENE_SIDE + left)
  }
}

/** Puts one or two things before the object, at its edge. Returns the share of it they hide. */
function hide(random: Random, canvas: Canvas, mask: Float32Array, object: Coverage): number {
  const total = sum(mask)
  for (let i = count(random, 1, 2); i > 0; i--) {
    const radius = between(random, 4, 16)
    const [dx, dy] = direction(between(random, 0, 360))
    const x = object.left + object.width * (0.5 + 0.5 * dx)
    const y = object.top + object.height * (0.5 + 0.5 * dy)
    const path = patch(random).map((ring) => ring.map(([u, v]) => [x + radius * u, y + radius * v] as const))
    const where = coverage(path)
    const left = covered(mask, where)
    if (sum(left) < total * (1 - MOST_HIDDEN)) continue
    mask.set(left)
    lay(canvas, where, surface(random, anyColour(random, dull), dull))
  }
  return 1 - sum(mask) / total
}

/** The mask less what `where` covers. */
function covered(mask: Float32Array, where: Coverage): Float32Array {
  const rest = mask.slice()
  for (let y = 0, i = 0; y < where.height; y++) {
    let o = (where.top + y) * SCENE_SIDE + where.left
    for (let x = 0; x < where.width; x++, i++, o++) rest[o] = (rest[o] as number) * (1 - (where.share[i] as number))
  }
  return rest
}

function sum(values: Float32Array): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i] as number
  return total
}

/** The canvas as 8-bit pixels, [S, S, 3], in a light that falls off to one side, with the noise of a sensor. */
function photograph(random: Random, canvas: Canvas): Uint8Array {
  const [dx, dy] = direction(between(random, 0, 360))
  const fall = between(random, 0, 0.35)
  const gains = [between(random, 0.85, 1.15), between(random, 0.85, 1.15), between(random, 0.85, 1.15)] as const
  const grain = between(random, 1, 10)
  const pixels = new Uint8ClampedArray(canvas.length)
  for (let y = 0, o = 0; y < SCENE_SIDE; y++) {
    for (let x = 0; x < SCENE_SIDE; x++) {
      const light = 1 + (fall * ((x - 48) * dx + (y - 48) * dy)) / 48 - fall * 0.2
      // Four bytes of one word, the first three for the channels' noise.
      const word = random.bits()
      for (let k = 0; k < 3; k++, o++) {
        const noise = ((word >>> (8 * k)) & 255) / 255 - 0.5
        pixels[o] = (canvas[o] as number) * light * (gains[k] as number) + grain * 2 * noise
      }
    }
  }
  return new Uint8Array(pixels.buffer)
}

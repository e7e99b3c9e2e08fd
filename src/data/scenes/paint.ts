/**
 * Colours, textures, and the canvas they are laid on.
 *
 * Objects are light and what lies around them is dull, so that they can be found; colours are drawn without regard to the
 * class, so that none tells it.
 */
import type { Random } from '../../random.js'
import { between, chance, count, pick } from './draws.js'
import { direction } from './geometry.js'
import { type Coverage, SCENE_SIDE } from './raster.js'

/** Red, green, blue from 0 to 255. */
export type Colour = readonly [number, number, number]

/** From 0 to 1 over the picture, at a pixel. */
type Texture = (x: number, y: number) => number

/** A mixture of two colours, as a texture has it. */
export interface Paint {
  readonly from: Colour
  readonly to: Colour
  /** Flat when left out: the colour is `from`. */
  readonly texture?: Texture
}

/** The picture while it is painted: [S, S, 3], 0 to 255. */
export type Canvas = Float32Array

/** Lays `paint` over the canvas where `where` covers it. */
export function lay(canvas: Canvas, where: Coverage, { from, to, texture }: Paint, opacity = 1): void {
  const [r, g, b] = from
  const [dr, dg, db] = [to[0] - r, to[1] - g, to[2] - b]
  for (let y = 0, i = 0; y < where.height; y++) {
    let o = ((where.top + y) * SCENE_SIDE + where.left) * 3
    for (let x = 0; x < where.width; x++, i++, o += 3) {
      const share = (where.share[i] as number) * opacity
      if (share === 0) continue
      const t = texture ? texture(where.left + x, where.top + y) : 0
      canvas[o] = (canvas[o] as number) * (1 - share) + (r + dr * t) * share
      canvas[o + 1] = (canvas[o + 1] as number) * (1 - share) + (g + dg * t) * share
      canvas[o + 2] = (canvas[o + 2] as number) * (1 - share) + (b + db * t) * share
    }
  }
}

/** Hue in sixths of a turn, saturation and value from 0 to 1. */
export function hsv(hue: number, saturation: number, value: number): Colour {
  const channel = (shift: number) => {
    const k = (hue + shift) % 6
    return 255 * value * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1)))
  }
  return [channel(5), channel(3), channel(1)]
}

/** Ranges of saturation and value; every hue is as likely. */
export interface Palette {
  readonly saturation: readonly [number, number]
  readonly value: readonly [number, number]
}

/** What objects are painted in: light, as things are that catch the eye. */
export const lively: Palette = { saturation: [0.1, 0.9], value: [0.7, 1] }

/** What lies around them: dull and in the shade. */
export const dull: Palette = { saturation: [0.05, 0.6], value: [0.15, 0.6] }

/** Details and outlines. */
export const anything: Palette = { saturation: [0.05, 0.95], value: [0.15, 1] }

/** Any colour of a palette. */
export const anyColour = (random: Random, { saturation, value }: Palette): Colour =>
  hsv(between(random, 0, 6), between(random, ...saturation), between(random, ...value))

/** How different two colours look, roughly: 0 to 255, brightness counting most. */
export function difference(a: Colour, b: Colour): number {
  const [r, g, bl] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
  const brightness = 0.3 * r + 0.6 * g + 0.1 * bl
  return Math.sqrt(brightness * brightness + 0.06 * (r * r + g * g + bl * bl))
}

/** Of a few random colours the one least like any of `others`. */
export function colourUnlike(random: Random, palette: Palette, others: readonly Colour[], draws = 4): Colour {
  const contrast = (colour: Colour) => Math.min(...others.map((other) => difference(colour, other)))
  let best = anyColour(random, palette)
  for (let i = 1; i < draws; i++) {
    const colour = anyColour(random, palette)
    if (contrast(colour) > contrast(best)) best = colour
  }
  return best
}

/** The colour, brighter or darker by up to `amount`. */
export function shaded([r, g, b]: Colour, random: Random, amount: number): Colour {
  const shift = between(random, -amount, amount)
  const channel = (value: number) => Math.max(0, Math.min(255, value + shift))
  return [channel(r), channel(g), channel(b)]
}

/** A texture of any kind. */
export const anyTexture = (random: Random): Texture =>
  pick(random, [gradient, gradient, noise, noise, stripes, checks, dots, cells, waves])(random)

/** From one colour to the other along a line. */
export function gradient(random: Random): Texture {
  const [dx, dy] = direction(between(random, 0, 360))
  const length = between(random, 0.5, 1.2) * SCENE_SIDE
  const [x0, y0] = [between(random, 0, SCENE_SIDE), between(random, 0, SCENE_SIDE)]
  return (x, y) => Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / length + 0.5))
}

const LATTICE = 32
const wrap = (i: number) => i & (LATTICE - 1)
const ease = (t: number) => t * t * (3 - 2 * t)

/** Value noise: random values on a lattice, smoothly interpolated, at two scales. */
export function noise(random: Random): Texture {
  const values = new Float64Array(LATTICE * LATTICE)
  for (let i = 0; i < values.length; i++) values[i] = random.bits() / 2 ** 32
  const fine = between(random, 0.2, 0.6)
  const [sx, sy] = [between(random, 0.04, 0.3), between(random, 0.04, 0.3)]
  const octave = (u: number, v: number) => {
    const [i, j] = [Math.floor(u), Math.floor(v)]
    const [s, t] = [ease(u - i), ease(v - j)]
    const at = (k: number, l: number) => values[wrap(l) * LATTICE + wrap(k)] as number
    const above = at(i, j) + (at(i + 1, j) - at(i, j)) * s
    const below = at(i, j + 1) + (at(i + 1, j + 1) - at(i, j + 1)) * s
    return above + (below - above) * t
  }
  return (x, y) => octave(x * sx, y * sy) * (1 - fine) + octave(x * sx * 3.1 + 7.3, y * sy * 3.1 + 3.7) * fine
}

/** How far a position within a repeating pattern is from its middle: 0 to 1. */
const wave = (u: number) => Math.abs(2 * (u - Math.floor(u)) - 1)
const sharp = (t: number, threshold: number) => Math.max(0, Math.min(1, (t - threshold) * 5 + 0.5))

/** Parallel bands. */
function stripes(random: Random): Texture {
  const [dx, dy] = direction(between(random, 0, 180))
  const period = between(random, 4, 18)
  const share = between(random, 0.3, 0.7)
  return (x, y) => sharp(wave((x * dx + y * dy) / period), share)
}

/** A chequered or woven pattern. */
function checks(random: Random): Texture {
  const [dx, dy] = direction(between(random, 0, 90))
  const period = between(random, 7, 24)
  return (x, y) => {
    const u = sharp(wave((x * dx + y * dy) / period), 0.5)
    const v = sharp(wave((y * dx - x * dy) / period), 0.5)
    return u + v - 2 * u * v
  }
}

/** Spots in rows. */
function dots(random: Random): Texture {
  const [dx, dy] = direction(between(random, 0, 90))
  const period = between(random, 6, 16)
  const radius = between(random, 0.3, 0.8)
  return (x, y) => {
    const u = wave((x * dx + y * dy) / period)
    const v = wave((y * dx - x * dy) / period)
    return sharp(radius, u * u + v * v)
  }
}

/** Patches around scattered points, each of one mixture of the colours: cobbles, facets. */
function cells(random: Random): Texture {
  const points = Array.from({ length: count(random, 8, 20) }, () => ({
    x: between(random, 0, SCENE_SIDE),
    y: between(random, 0, SCENE_SIDE),
    value: random.uniform(),
  }))
  return (x, y) => {
    let nearest = Number.POSITIVE_INFINITY
    let value = 0
    for (const point of points) {
      const distance = (point.x - x) * (point.x - x) + (point.y - y) * (point.y - y)
      if (distance >= nearest) continue
      nearest = distance
      value = point.value
    }
    return value
  }
}

/** Stripes bent by noise: wood, water. */
function waves(random: Random): Texture {
  const bend = noise(random)
  const [dx, dy] = direction(between(random, 0, 180))
  const period = between(random, 6, 20)
  const depth = between(random, 0.5, 2)
  return (x, y) => wave((x * dx + y * dy) / period + depth * bend(x, y))
}

/** `base` in any texture, with up to `strength` of another colour. */
export function texturedPaint(random: Random, base: Colour, palette: Palette, strength: number): Paint {
  const other = anyColour(random, palette)
  const t = between(random, 0.3, 1) * strength
  const channel = (k: 0 | 1 | 2) => base[k] + (other[k] - base[k]) * t
  return { from: base, to: [channel(0), channel(1), channel(2)], texture: anyTexture(random) }
}

/** `base` with a fall of light over it. */
export const litPaint = (random: Random, base: Colour): Paint => ({
  from: base,
  to: shaded(base, random, 50),
  texture: gradient(random),
})

/** What things are made of: lit from a side, or textured. */
export const surface = (random: Random, base: Colour, palette: Palette): Paint =>
  chance(random, 0.35) ? texturedPaint(random, base, palette, 0.5) : litPaint(random, base)

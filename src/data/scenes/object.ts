/** Objects in the picture: where they lie, their colours, and how they are painted. */
import type { Random } from '../../random.js'
import { between, chance } from './draws.js'
import { bounds, direction, type Matrix, transform } from './geometry.js'
import { anything, type Canvas, type Colour, colourUnlike, lay, type Paint, type Palette, surface } from './paint.js'
import { type Coverage, coverage, grown, SCENE_SIDE, shifted, union } from './raster.js'
import type { Part, Tone } from './shapes/shape.js'

/** How everything in one picture is drawn: cut out, with an outline, or with a shadow. */
export type Finish = 'plain' | 'outline' | 'shadow'

const MARGIN = 2

/** Turns, mirrors, stretches and shears an object, at any size. */
export function turned(random: Random, parts: readonly Part[], tilt: number): Part[] {
  const [cosine, sine] = direction(between(random, -tilt, tilt))
  const stretch = between(random, 0.85, 1.15)
  const shear = between(random, -0.15, 0.15)
  const flip = chance(random, 0.5) ? -1 : 1
  // rotation · (shear · stretch) · flip
  const matrix: Matrix = [
    cosine * flip,
    sine * flip,
    (cosine * shear - sine) * stretch,
    (sine * shear + cosine) * stretch,
    0,
    0,
  ]
  return parts.map(({ tone, path }) => ({ tone, path: transform(path, matrix) }))
}

/**
 * Scales and moves an object into the picture, wholly inside it.
 *
 * @param size the square root of the area of the rectangle around it, in pixels
 */
export function placed(random: Random, parts: readonly Part[], size: number): Part[] {
  const around = bounds(parts.flatMap(({ path }) => path))
  const [width, height] = [around.right - around.left, around.bottom - around.top]
  const room = SCENE_SIDE - 2 * MARGIN
  const scale = Math.min(size / Math.sqrt(width * height), room / width, room / height)
  const left = MARGIN + between(random, 0, room - width * scale)
  const top = MARGIN + between(random, 0, room - height * scale)
  const matrix: Matrix = [scale, 0, 0, scale, left - around.left * scale, top - around.top * scale]
  return parts.map(({ tone, path }) => ({ tone, path: transform(path, matrix) }))
}

/** The average colour of the canvas under `where`. */
function colourUnder(canvas: Canvas, where: Coverage): Colour {
  let [red, green, blue, total] = [0, 0, 0, 1e-6]
  for (let y = 0, i = 0; y < where.height; y++) {
    let o = ((where.top + y) * SCENE_SIDE + where.left) * 3
    for (let x = 0; x < where.width; x++, i++, o += 3) {
      const share = where.share[i] as number
      total += share
      red += share * (canvas[o] as number)
      green += share * (canvas[o + 1] as number)
      blue += share * (canvas[o + 2] as number)
    }
  }
  return [red / total, green / total, blue / total]
}

/** Paints an object over the canvas in colours of its own out of a palette. Returns all it covers. */
export function paintParts(
  random: Random,
  canvas: Canvas,
  parts: readonly Part[],
  finish: Finish,
  palette: Palette,
): Coverage {
  const covers = parts.map(({ path }) => coverage(path))
  const silhouette = union(covers)
  const under = colourUnder(canvas, silhouette)
  const body = colourUnlike(random, palette, [under], 3)
  const accent = colourUnlike(random, palette, [body, under], 3)
  const trim = colourUnlike(random, palette, [body, accent], 3)
  const detail = colourUnlike(random, anything, [body, trim], 6)
  const paints: Readonly<Record<Tone, Paint>> = {
    body: surface(random, body, palette),
    accent: surface(random, accent, palette),
    trim: surface(random, trim, palette),
    detail: { from: detail, to: detail },
  }
  const ink = colourUnlike(random, anything, [under, body], 2)
  if (finish === 'outline') lay(canvas, grown(silhouette), { from: ink, to: ink })
  if (finish === 'shadow') lay(canvas, shifted(silhouette, 2, 3), { from: [0, 0, 0], to: [0, 0, 0] }, 0.4)
  for (const [i, { tone }] of parts.entries()) lay(canvas, covers[i] as Coverage, paints[tone])
  return silhouette
}

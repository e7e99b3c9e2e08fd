/**
 * What lies around the object: textured grounds, and distractors that are like objects in texture and even in
 * their parts, but dull and smaller, so that the class is in the whole shape.
 */
import type { Random } from '../../random.js'
import { between, chance, count, pick } from './draws.js'
import {
  arc,
  bounds,
  box,
  clip,
  cut,
  direction,
  ellipse,
  type Path,
  type Point,
  polygon,
  smooth,
  stroke,
} from './geometry.js'
import { type Finish, paintParts, placed, turned } from './object.js'
import { anyColour, anyTexture, type Canvas, dull, lay, texturedPaint } from './paint.js'
import { coverage, SCENE_SIDE } from './raster.js'
import { type Part, part } from './shapes/shape.js'
import { objectClasses } from './shapes/table.js'

/** A ground of one to four textured regions with distractors on it. */
export function paintBackground(random: Random, canvas: Canvas, finish: Finish): void {
  lay(canvas, coverage(box(0, 0, SCENE_SIDE, SCENE_SIDE)), {
    from: anyColour(random, dull),
    to: anyColour(random, dull),
    texture: anyTexture(random),
  })
  for (let i = count(random, 0, 3); i > 0; i--) {
    lay(
      canvas,
      coverage(region(random)),
      texturedPaint(random, anyColour(random, dull), dull, 0.8),
      between(random, 0.5, 1),
    )
  }
  for (let i = count(random, 3, 8); i > 0; i--) {
    // Fragments stay smaller than objects, which would else be taken for what is left of a second one.
    const parts = chance(random, 0.35) ? fragment(random) : [part('body', patch(random))]
    paintParts(random, canvas, placed(random, parts, between(random, 9, 26)), finish, dull)
  }
}

/** A large part of the picture: one side of a line, a band, or a rough disc. */
function region(random: Random): Path {
  const [nx, ny] = direction(between(random, 0, 360))
  const offset = between(random, 0.2, 0.8) * SCENE_SIDE * (nx + ny) * 0.5 + 24 * (1 - nx - ny) * 0.5
  const whole = box(0, 0, SCENE_SIDE, SCENE_SIDE)
  const half = clip(whole, nx, ny, offset + 12)
  const kind = random.integer(3)
  if (kind === 0) return half
  if (kind === 1) return clip(half, -nx, -ny, -(offset - between(random, 10, 40)))
  const blob = roughDisc(random, 9, 0.6)
  const [x, y] = [between(random, 0, SCENE_SIDE), between(random, 0, SCENE_SIDE)]
  const radius = between(random, 25, 50)
  return smooth(...blob.map(([dx, dy]): Point => [x + radius * dx, y + radius * dy]))
}

/** Points around the origin, at `least` to 1 from it. */
const roughDisc = (random: Random, points: number, least: number): Point[] =>
  Array.from({ length: points }, (_, i) => {
    const [dx, dy] = direction(((i + between(random, -0.3, 0.3)) * 360) / points)
    const r = between(random, least, 1)
    return [dx * r, dy * r]
  })

/** A shape without a meaning. */
export function patch(random: Random): Path {
  const slim = between(random, 0.15, 0.5)
  const shapes: readonly (() => Path)[] = [
    () => polygon(...roughDisc(random, count(random, 3, 7), 0.4)),
    () => smooth(...roughDisc(random, count(random, 5, 9), 0.45)),
    () => ellipse(0, 0, 1, between(random, 0.4, 1)),
    () => box(-1, -slim, 1, slim, chance(random, 0.5) ? slim * 0.9 : 0),
    () => cut(ellipse(0, 0, 1), ellipse(0, 0, between(random, 0.4, 0.75))),
    () => stroke(arc(0, 0, 1, between(random, 0.5, 1), 0, between(random, 90, 270)), between(random, 0.15, 0.4)),
    () => stroke(roughDisc(random, count(random, 3, 5), 0.5), between(random, 0.12, 0.35)),
    () => polygon(...arc(0, 0, 1, between(random, 0.5, 1), 180, 360)),
  ]
  const [path] = turned(random, [part('body', pick(random, shapes)())], 180)
  return path?.path ?? []
}

/** One or two parts of an object of any class, cut in two: never a whole object. */
function fragment(random: Random): Part[] {
  const { draw, tilt } = pick(random, objectClasses)
  const whole = draw(random)
  const first = random.integer(whole.length)
  const chosen = turned(random, whole.slice(first, first + count(random, 1, 2)), tilt)
  const around = bounds(chosen.flatMap(({ path }) => path))
  const [nx, ny] = direction(between(random, 0, 360))
  const middle = (nx * (around.left + around.right) + ny * (around.top + around.bottom)) / 2
  const halved = chosen
    .map(({ tone, path }) => part(tone, clip(path, nx, ny, middle)))
    .filter(({ path }) => path.length > 0)
  return halved.length > 0 ? halved : [part('body', patch(random))]
}

/** Car, boat and rocket, seen from the side. */
import { between, chance, count } from '../draws.js'
import {
  box,
  clip,
  cut,
  ellipse,
  mirrored,
  type Path,
  type Point,
  polygon,
  smooth,
  spline,
  stroke,
} from '../geometry.js'
import { type Part, part, type Shape } from './shape.js'

/** A saloon, an estate or a pick-up: the cabin's place and length differ. */
export const car: Shape = (random) => {
  const sill = between(random, 0.3, 0.4)
  const waist = between(random, -0.16, -0.02)
  const roof = waist - between(random, 0.36, 0.5)
  const rear = between(random, -0.92, -0.5)
  const front = between(random, 0.35, 0.6)
  const [rearSlope, frontSlope] = [between(random, 0.05, 0.28), between(random, 0.2, 0.38)]
  const wheel = between(random, 0.2, 0.27)
  const inset = 0.07
  const cabin = polygon(
    [rear, waist + 0.05],
    [rear + rearSlope, roof],
    [front - frontSlope, roof],
    [front, waist + 0.05],
  )
  const glass = polygon(
    [rear + inset + rearSlope * 0.3, waist - 0.02],
    [rear + rearSlope + inset * 0.7, roof + inset],
    [front - frontSlope - inset * 0.4, roof + inset],
    [front - inset * 1.6, waist - 0.02],
  )
  const post = (rear + front) / 2 + between(random, -0.08, 0.08)
  const axles = [between(random, -0.64, -0.55), between(random, 0.54, 0.62)]
  return [
    part('body', box(-1, waist, 1, sill, 0.13), cabin),
    part('trim', clip(glass, 1, 0, post - 0.03), clip(glass, -1, 0, -post - 0.03)),
    part('accent', box(-1.02, sill - 0.14, 1.02, sill - 0.04, 0.04)),
    part('accent', ellipse(0.93, waist + 0.14, 0.07, 0.08)),
    part(
      'detail',
      stroke(
        [
          [post - 0.22, waist + 0.1],
          [post - 0.08, waist + 0.1],
        ],
        0.045,
      ),
    ),
    part('detail', ...axles.map((x) => ellipse(x, sill, wheel))),
    part('accent', ...axles.map((x) => ellipse(x, sill, wheel * between(random, 0.4, 0.6)))),
  ]
}

/** A sailing boat or a steamer. */
export const boat: Shape = (random) => {
  const deck = between(random, 0.35, 0.5)
  const draught = between(random, 0.36, 0.5)
  const [stern, bow] = [-between(random, 0.8, 0.95), between(random, 0.95, 1.1)]
  const hull = polygon(
    ...spline([
      [stern, deck],
      [stern + 0.06, deck + draught * 0.5],
      [stern + 0.25, deck + draught],
    ]),
    ...spline([
      [bow - 0.5, deck + draught],
      [bow - 0.15, deck + draught * 0.55],
      [bow, deck - 0.08],
    ]),
  )
  const stripe = clip(clip(hull, 0, -1, -(deck + 0.1)), 0, 1, deck + 0.2)
  if (chance(random, 0.35)) {
    const funnels = count(random, 1, 2)
    const floor = deck - between(random, 0.28, 0.36)
    const top = floor - between(random, 0.24, 0.3)
    const left = stern + 0.3
    const stacks: Part[] = Array.from({ length: funnels }, (_, i) => {
      const x = left + 0.25 + i * 0.42
      const height = top - between(random, 0.35, 0.5)
      const body = polygon([x - 0.12, top + 0.02], [x - 0.15, height], [x + 0.09, height], [x + 0.12, top + 0.02])
      return [part('body', body), part('detail', clip(body, 0, 1, height + 0.12))]
    }).flat()
    const windows = Array.from({ length: 4 }, (_, i) => ellipse(left + 0.14 + i * 0.3, (floor + deck) / 2, 0.075))
    return [
      ...stacks,
      part('trim', box(left, floor, bow - 0.45, deck + 0.02)),
      part('accent', box(left + 0.1, top, bow - 0.75, floor)),
      part('detail', ...windows),
      part('body', hull),
      part('accent', stripe),
    ]
  }
  const mast = between(random, -0.15, 0.2)
  const top = -between(random, 0.95, 1.15)
  const foot = deck - between(random, 0.1, 0.2)
  const main: Point[] = [
    ...spline([
      [mast - 0.06, top + 0.08],
      [mast - 0.4, -0.35],
      [stern + 0.12, foot],
    ]),
    [mast - 0.06, foot],
  ]
  const jib: Point[] = [
    ...spline([
      [mast + 0.06, top + 0.2],
      [mast + 0.35, -0.25],
      [bow - 0.15, foot],
    ]),
    [mast + 0.06, foot],
  ]
  const flag = polygon([mast, top - 0.02], [mast + 0.28, top + 0.06], [mast, top + 0.15])
  return [
    part(
      'detail',
      stroke(
        [
          [mast, deck],
          [mast, top],
        ],
        0.07,
      ),
    ),
    part('trim', polygon(...main)),
    ...(chance(random, 0.7) ? [part('accent', polygon(...jib))] : []),
    ...(chance(random, 0.4) ? [part('accent', flag)] : []),
    part('body', hull),
    ...(chance(random, 0.5) ? [part('detail', stripe)] : []),
  ]
}

export const rocket: Shape = (random) => {
  const half = between(random, 0.24, 0.36)
  const tip = -between(random, 0.95, 1.15)
  const side: Point[] = [
    [0, tip],
    [half * 0.62, tip + 0.4],
    [half, tip + 0.85],
    [half * 0.95, 0.25],
    [half * 0.62, 0.62],
  ]
  const right = spline(side)
  const hull = polygon(
    ...right,
    ...right
      .slice(1)
      .reverse()
      .map(([x, y]): Point => [-x, y]),
  )
  const reach = half + between(random, 0.25, 0.42)
  const root = between(random, -0.05, 0.15)
  const fin: Path = polygon([half * 0.8, root], [reach, root + 0.4], [reach, 0.85], [half * 0.55, 0.58])
  const porthole = between(random, tip + 0.7, tip + 0.9)
  const window = half * between(random, 0.42, 0.58)
  const flame = smooth(
    [-half * 0.55, 0.6],
    [half * 0.55, 0.6],
    [half * 0.5, 0.85],
    [0, between(random, 1, 1.25)],
    [-half * 0.5, 0.85],
  )
  return [
    ...(chance(random, 0.7) ? [part('detail', flame)] : []),
    part('accent', fin, mirrored(fin)),
    part('body', hull),
    part('trim', clip(hull, 0, 1, tip + between(random, 0.35, 0.5))),
    ...(chance(random, 0.5) ? [part('trim', clip(clip(hull, 0, -1, -0.25), 0, 1, 0.38))] : []),
    part('accent', polygon([-0.05, root + 0.15], [0.05, root + 0.15], [0.05, 0.8], [-0.05, 0.8])),
    part('detail', cut(ellipse(0, porthole, window), ellipse(0, porthole, window * 0.65))),
    part('trim', ellipse(0, porthole, window * 0.65)),
  ]
}

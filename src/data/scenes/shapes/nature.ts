/** Tree, mushroom, fish and bird. */
import { between, chance, count } from '../draws.js'
import { arc, clip, ellipse, type Point, polygon, smooth, spline, stroke } from '../geometry.js'
import { type Part, part, type Shape } from './shape.js'

/** A broad-leaved tree or a fir. */
export const tree: Shape = (random) => {
  const width = between(random, 0.09, 0.16)
  const fork = between(random, 0.1, 0.35)
  const trunk = polygon([-width * 0.7, fork - 0.3], [width * 0.7, fork - 0.3], [width * 1.3, 1], [-width * 1.3, 1])
  if (chance(random, 0.4)) {
    const tiers = count(random, 3, 4)
    const spread = between(random, 0.5, 0.72)
    const parts: Part[] = [part('accent', trunk)]
    for (let i = tiers - 1; i >= 0; i--) {
      const bottom = -0.45 + ((i + 0.2) * 1.15) / tiers
      const half = spread * (0.5 + (0.5 * i) / (tiers - 1))
      const top = bottom - 0.62
      const sag = between(random, 0, 0.08)
      parts.push(part('body', polygon([0, top], [half, bottom + sag], [0, bottom], [-half, bottom + sag])))
    }
    return parts
  }
  const radius = between(random, 0.3, 0.4)
  const rise = between(random, 0.28, 0.42)
  const clumps = arc(0, -0.35, between(random, 0.36, 0.5), rise, 180, 480)
    .filter((_, i) => i % 4 === 0)
    .map(([x, y]) => ellipse(x, y, radius * between(random, 0.8, 1.05), radius * between(random, 0.8, 1)))
  const leaves = Array.from({ length: count(random, 3, 6) }, () =>
    ellipse(between(random, -0.5, 0.5), between(random, -0.75, 0), between(random, 0.05, 0.13)),
  )
  const branch = chance(random, 0.6)
    ? [
        part(
          'accent',
          stroke(
            [
              [0, fork + 0.15],
              [between(random, 0.22, 0.3), fork - 0.3],
            ],
            width * 0.9,
          ),
        ),
      ]
    : []
  return [
    part('accent', trunk),
    part('body', ellipse(0, -0.35, 0.45, 0.38), ...clumps),
    part('trim', ...leaves),
    ...branch,
  ]
}

export const mushroom: Shape = (random) => {
  const half = between(random, 0.72, 0.98)
  const height = between(random, 0.55, 0.95)
  const stem = between(random, 0.17, 0.3)
  const foot = stem * between(random, 1, 1.6)
  const brim = between(random, -0.1, 0.1)
  const cap = [...arc(0, brim, half, height, 180, 360), ...arc(0, brim, half, 0.16, 0, 180)]
  const total = count(random, 3, 5)
  const spots = Array.from({ length: total }, (_, i) => {
    const x = half * (-0.65 + (1.3 * (i + between(random, 0.1, 0.9))) / total)
    const lift = Math.sqrt(1 - (x / half) * (x / half)) * height
    return ellipse(
      x,
      brim - lift * between(random, 0.25, 0.7),
      between(random, 0.07, 0.15),
      between(random, 0.06, 0.12),
    )
  })
  return [
    part(
      'accent',
      smooth([-stem, brim], [stem, brim], [stem * 0.95, 0.5], [foot, 0.95], [-foot, 0.95], [-stem * 0.95, 0.5]),
    ),
    ...(chance(random, 0.5) ? [part('detail', stroke(arc(0, brim + 0.18, stem * 1.15, 0.1, 0, 180), 0.08))] : []),
    part('body', polygon(...cap)),
    part('trim', ellipse(0, brim + 0.03, half * 0.9, 0.1)),
    ...(chance(random, 0.75) ? [part('detail', ...spots)] : []),
  ]
}

export const fish: Shape = (random) => {
  const back = between(random, 0.28, 0.5)
  const belly = between(random, 0.28, 0.5)
  const fork = between(random, 0.05, 0.22)
  const spread = between(random, 0.3, 0.5)
  const outline: Point[] = [
    [-0.62, 0.02],
    [-0.2, -back * 0.75],
    [0.3, -back],
    [0.75, -back * 0.55],
    [0.98, 0.04],
    [0.72, belly * 0.6],
    [0.28, belly],
    [-0.2, belly * 0.7],
  ]
  const body = smooth(...outline)
  const tail = polygon([-0.5, 0], [-1.05, -spread], [-1.05 + fork, 0.02], [-1.05, spread])
  const fin = polygon(
    ...spline([
      [-0.35, -back * 0.5],
      [-0.1, -back - between(random, 0.15, 0.35)],
      [0.35, -back * 0.9],
    ]),
  )
  const lower = polygon([0.05, belly * 0.8], [-0.25, belly + between(random, 0.1, 0.25)], [-0.3, belly * 0.6])
  const side = polygon(
    ...spline([
      [0.28, 0.05],
      [-0.05, 0.02],
      [-0.08, 0.2],
      [0.1, 0.22],
    ]),
  )
  const bands = Array.from({ length: count(random, 2, 3) }, (_, i) => {
    const x = -0.35 + i * 0.3
    return clip(clip(body, 1, 0.1, x + between(random, 0.08, 0.14)), -1, -0.1, -x)
  })
  const eye = -back * 0.3
  return [
    part('accent', tail, fin, lower),
    part('body', body),
    ...(chance(random, 0.5) ? [part('trim', ...bands)] : []),
    part('detail', stroke(arc(0.38, 0, 0.12, belly * 0.6, -70, 70), 0.05)),
    part('accent', side),
    part('trim', ellipse(0.7, eye, 0.11)),
    part('detail', ellipse(0.72, eye, 0.065)),
    part(
      'detail',
      stroke(
        [
          [0.95, 0.1],
          [0.8, 0.14],
        ],
        0.045,
      ),
    ),
  ]
}

/** A bird, sitting or on the wing. */
export const bird: Shape = (random) => {
  const plump = between(random, -0.06, 0.14)
  const flying = chance(random, 0.4)
  const length = between(random, 0.45, 0.75)
  const body = smooth(
    [-0.72, 0.1],
    [-0.3, -0.2 - plump],
    [0.18, -0.34],
    [0.36, -0.7],
    [0.62, -0.8],
    [0.82, -0.58],
    [0.7, -0.22],
    [0.6, 0.16],
    [0.22, 0.48 + plump],
    [-0.3, 0.42 + plump],
  )
  const tail = polygon(
    [-0.45, -0.1],
    [-0.6 - length, -0.12],
    [-0.66 - length, 0.1],
    [-0.55 - length, 0.26],
    [-0.45, 0.28],
  )
  const beak = polygon([0.76, -0.68], [between(random, 1.08, 1.28), -0.5], [0.74, -0.42])
  const eye = part('detail', ellipse(0.6, -0.6, 0.075))
  if (flying) {
    const reach = between(random, 0.8, 1.1)
    const wing = smooth(
      [0.3, -0.1],
      [0.05, -0.6],
      [-0.35, -0.3 - reach],
      [-0.6, -0.2 - reach],
      [-0.55, -0.5],
      [-0.35, 0.05],
    )
    const far = smooth([0.32, -0.2], [0.3, -0.6], [0.12, -0.2 - reach], [-0.05, -0.25 - reach], [-0.05, -0.5])
    return [
      part('trim', far),
      part('accent', tail),
      part('body', body),
      part('accent', wing),
      part('detail', beak),
      eye,
    ]
  }
  const wing = smooth([-0.9, 0.3], [-0.3, -0.12], [0.2, -0.16], [0.34, 0.08], [0.1, 0.28], [-0.4, 0.3])
  const leg = (x: number) => [
    stroke(
      [
        [x, 0.42],
        [x + 0.03, 0.95],
      ],
      0.06,
    ),
    stroke(
      [
        [x - 0.12, 1],
        [x + 0.03, 0.93],
        [x + 0.2, 1],
      ],
      0.06,
    ),
  ]
  return [
    part('detail', ...leg(0), ...leg(0.28)),
    part('accent', tail),
    part('body', body),
    part('accent', wing),
    part('detail', beak),
    eye,
  ]
}

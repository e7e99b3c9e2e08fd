/** Cup, guitar, key, shoe and umbrella. */
import { between, chance, count, pick } from '../draws.js'
import { arc, box, clip, cut, ellipse, type Path, type Point, polygon, smooth, spline, stroke } from '../geometry.js'
import { part, type Shape } from './shape.js'

/** A mug or a tea cup, with or without a saucer and steam. */
export const cup: Shape = (random) => {
  const half = between(random, 0.5, 0.68)
  const base = half * between(random, 0.45, 0.95)
  const bottom = between(random, 0.5, 0.8)
  const rim = -between(random, 0.4, 0.62)
  const depth = between(random, 0.12, 0.2)
  const bulge = half * 0.4 + base * 0.6
  const foot = arc(0, bottom - 0.12, base, depth, 0, 180)
  const wall = polygon([half, rim], [bulge, bottom - 0.25], ...foot, [-bulge, bottom - 0.25], [-half, rim])
  const reach = between(random, 0.36, 0.5)
  const height = (bottom - rim) * between(random, 0.26, 0.34)
  const handle = arc(half * 0.8, (rim + bottom) / 2 - 0.06, reach, height, -90, 90)
  const band = between(random, 0.1, 0.2)
  const stripe = clip(clip(wall, 0, -1, band), 0, 1, band)
  const steam = [-0.28, 0, 0.28].map((x) =>
    spline([
      [x, rim - 0.3],
      [x + 0.09, rim - 0.45],
      [x - 0.02, rim - 0.6],
      [x + 0.08, rim - 0.75],
    ]),
  )
  return [
    ...(chance(random, 0.35) ? [part('accent', ellipse(0, bottom + 0.03, 0.95, 0.17))] : []),
    part('body', stroke(handle, between(random, 0.11, 0.17))),
    part('body', wall),
    ...(chance(random, 0.5) ? [part('accent', stripe)] : []),
    part('body', ellipse(0, rim, half, depth)),
    part('detail', ellipse(0, rim, half * 0.86, depth * 0.72)),
    ...(chance(random, 0.3) ? [part('trim', ...steam.map((curl) => stroke(curl, 0.055)))] : []),
  ]
}

export const key: Shape = (random) => {
  const radius = between(random, 0.34, 0.44)
  const eye = radius * between(random, 0.42, 0.66)
  const shaft = between(random, 0.11, 0.15)
  const bow = -0.62
  const bows: readonly (() => Path)[] = [
    () => cut(ellipse(0, bow, radius), ellipse(0, bow, eye)),
    () => cut(ellipse(0, bow, radius * 1.25, radius * 0.9), ellipse(0, bow, eye * 1.25, eye * 0.8)),
    () =>
      cut(
        box(-radius, bow - radius, radius, bow + radius, 0.12),
        box(-eye, bow - eye * 0.8, eye, bow + eye * 0.8, 0.1),
      ),
    () => {
      const leaf = (x: number, y: number) => cut(ellipse(x, y, radius * 0.62), ellipse(x, y, radius * 0.3))
      return [
        ...leaf(0, bow - 0.24),
        ...leaf(-0.34, bow + 0.12),
        ...leaf(0.34, bow + 0.12),
        ...box(-0.14, bow, 0.14, bow + 0.3),
      ]
    },
  ]
  const tip = between(random, 0.9, 1.1)
  const teeth = count(random, 2, 3)
  const bits = Array.from({ length: teeth }, (_, i) => {
    const bottom = tip - 0.05 - i * 0.22
    return box(0, bottom - 0.13, shaft + between(random, 0.2, 0.38), bottom)
  })
  return [
    part('body', box(-shaft, bow + radius * 0.8, shaft, tip, 0.05), ...bits),
    part('body', pick(random, bows)()),
    ...(chance(random, 0.6)
      ? [part('accent', box(-shaft * 1.6, bow + radius + 0.04, shaft * 1.6, bow + radius + 0.18, 0.04))]
      : []),
    ...(chance(random, 0.4) ? [part('detail', box(-0.02, bow + radius + 0.25, 0.03, tip - 0.1))] : []),
  ]
}

/** An open umbrella. */
export const umbrella: Shape = (random) => {
  const half = between(random, 0.85, 1.05)
  const height = between(random, 0.6, 0.85)
  const gores = count(random, 3, 5)
  const hem = between(random, -0.15, 0.05)
  const scallop = between(random, 0.06, 0.14)
  const corner = (i: number) => -half + (2 * half * i) / gores
  const edge = Array.from({ length: gores }, (_, i) => {
    const width = half / gores
    return arc(corner(gores - i) - width, hem, width, scallop, 0, -180)
  }).flat()
  const dome = polygon(...arc(0, hem, half, height, 180, 360), ...edge)
  const peak: Point = [0, hem - height]
  const ribs = Array.from({ length: gores - 1 }, (_, i) => {
    const x = corner(i + 1)
    return spline([peak, [x * 0.72, hem - height * 0.62], [x, hem]])
  })
  const gore = (i: number) => polygon(...(ribs[i] ?? []), ...[...(ribs[i + 1] ?? [])].reverse())
  const alternate = chance(random, 0.5)
    ? [
        part(
          'trim',
          ...Array.from({ length: gores - 2 }, (_, i) => i)
            .filter((i) => i % 2 === 0)
            .map(gore),
        ),
      ]
    : []
  const hook = between(random, 0.13, 0.2)
  const end = between(random, 0.75, 0.95)
  const handle = stroke([[0, hem - 0.2], [0, end], ...arc(hook, end, hook, hook, 180, 0).slice(1)], 0.085)
  return [
    part('accent', handle),
    part('detail', stroke([peak, [0, peak[1] - 0.15]], 0.07)),
    part('body', dome),
    ...alternate,
    part(
      'detail',
      ...ribs.map((rib) =>
        stroke(
          rib.filter((_, i) => i % 2 === 0),
          0.035,
        ),
      ),
    ),
  ]
}

export const guitar: Shape = (random) => {
  const upper = between(random, 0.32, 0.4)
  const lower = between(random, 0.46, 0.56)
  const waist = upper * between(random, 0.68, 0.85)
  const right: Point[] = [
    [0.1, 0],
    [upper * 0.85, 0.04],
    [upper, 0.22],
    [waist, 0.42],
    [lower * 0.94, 0.62],
    [lower, 0.82],
    [lower * 0.7, 1.06],
  ]
  const body = smooth(...right, [0, 1.12], ...right.map(([x, y]): Point => [-x, y]).reverse())
  const nut = -between(random, 0.75, 0.95)
  const head = nut - between(random, 0.26, 0.34)
  const neck = between(random, 0.065, 0.09)
  const hole = between(random, 0.13, 0.18)
  const pegs = [0.25, 0.55, 0.85].flatMap((t) => [-1, 1].map((s) => ellipse(s * 0.17, nut + (head - nut) * t, 0.055)))
  const inner: Path = body.map((ring) => ring.map(([x, y]): Point => [x * 0.86, 0.58 + (y - 0.56) * 0.88]))
  return [
    part('body', body),
    ...(chance(random, 0.4) ? [part('trim', inner)] : []),
    part('detail', ellipse(0, 0.38, hole)),
    part('detail', box(-0.22, 0.78, 0.22, 0.87, 0.03)),
    part('trim', ...pegs),
    part('accent', box(-neck, nut, neck, 0.28)),
    part('accent', polygon([-0.09, nut + 0.02], [-0.14, head], [0.14, head], [0.09, nut + 0.02])),
    part(
      'trim',
      ...[-0.03, 0.03].map((x) =>
        stroke(
          [
            [x, nut],
            [x, 0.8],
          ],
          0.02,
        ),
      ),
    ),
    part('detail', ...[0.2, 0.4, 0.6, 0.8].map((t) => box(-neck, nut * t - 0.015, neck, nut * t + 0.015))),
  ]
}

/** A shoe or a boot, toe to the right. */
export const shoe: Shape = (random) => {
  const ankle = chance(random, 0.35) ? -between(random, 0.85, 1.1) : -between(random, 0.38, 0.55)
  const throat = between(random, -0.28, -0.1)
  const toe = between(random, 0.02, 0.14)
  const upper: Path = polygon(
    ...spline([
      [-0.88, 0.36],
      [-0.92, -0.05],
      [-0.86, ankle],
    ]),
    ...spline([
      [-0.5, ankle + 0.1],
      [-0.14, ankle + 0.02],
    ]),
    ...spline([
      [-0.08, Math.min(throat - 0.15, ankle + 0.3)],
      [0.12, throat],
      [0.5, toe - 0.02],
      [0.85, toe + 0.1],
      [0.96, 0.36],
    ]),
  )
  const heel = chance(random, 0.4)
  const thick = between(random, 0.12, 0.2)
  const sole = heel
    ? [...box(-0.94, 0.33, 1, 0.33 + thick * 0.7, 0.04), ...box(-0.94, 0.35, -0.4, 0.36 + thick * 1.9)]
    : box(-0.97, 0.33, 1.02, 0.33 + thick, 0.06)
  const laces = [0, 1, 2].map((i) => {
    const [x, y] = [0.02 + i * 0.16, throat - 0.08 + i * (0.05 + (toe - throat) * 0.28)]
    return stroke(
      [
        [x - 0.1, y + 0.16],
        [x + 0.1, y],
      ],
      0.055,
    )
  })
  return [
    part('body', upper),
    part('accent', clip(upper, -1, -0.35, -between(random, 0.66, 0.76))),
    ...(chance(random, 0.6) ? [part('trim', clip(upper, 1, 0, -between(random, 0.6, 0.7)))] : []),
    ...(chance(random, 0.5) ? [part('trim', polygon([-0.35, 0.33], [-0.05, -0.08], [0.1, -0.05], [-0.12, 0.33]))] : []),
    part('detail', sole),
    ...(chance(random, 0.75) ? [part('detail', ...laces)] : []),
  ]
}

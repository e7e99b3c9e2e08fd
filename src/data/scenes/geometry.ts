/**
 * Outlines of vector shapes: polygons, curves flattened to polygons, strokes, and what moves and cuts them.
 *
 * A path is a union of rings that run one way round; a ring that runs the other way cuts a hole into the one around it.
 * Coordinates are x to the right, y down. Only + - * / and square roots, so that a path is the same on every engine.
 */
import { sineCosine } from '../../images/augment/portable.js'

export type Point = readonly [x: number, y: number]

/** A closed polygon; the last point is joined to the first. */
export type Ring = readonly Point[]

export type Path = readonly Ring[]

/** The map (x, y) → (a x + c y + e, b x + d y + f). */
export type Matrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number]

/** The unit vector at an angle in degrees: 0 is right, 90 is down. */
export function direction(degrees: number): Point {
  const turned = degrees - 360 * Math.floor((degrees + 90) / 360) // [-90, 270)
  const [sine, cosine] = sineCosine(turned > 90 ? 180 - turned : turned)
  return [turned > 90 ? -cosine : cosine, sine]
}

const ARC_STEP = 15 // degrees; at a radius of 24 pixels a chord is 0.2 pixels off its arc

const compass: readonly Point[] = Array.from({ length: 360 / ARC_STEP }, (_, i) => direction(i * ARC_STEP))

/** Twice the area, positive for rings that add. */
function signedArea(ring: Ring): number {
  let sum = 0
  let [x0, y0] = ring.at(-1) ?? [0, 0]
  for (const [x, y] of ring) {
    sum += x0 * y - x * y0
    x0 = x
    y0 = y
  }
  return sum
}

const wound = (ring: Ring, sign: 1 | -1): Ring => (signedArea(ring) * sign < 0 ? [...ring].reverse() : ring)

/** A filled polygon. */
export const polygon = (...points: readonly Point[]): Path => [wound(points, 1)]

/** `outline` without `holes`, which lie inside it. */
export const cut = (outline: Path, ...holes: readonly Path[]): Path => [
  ...outline,
  ...holes.flat().map((ring) => wound(ring, -1)),
]

export const ellipse = (x: number, y: number, rx: number, ry = rx): Path => [
  compass.map(([dx, dy]) => [x + rx * dx, y + ry * dy] as const),
]

/** Points on an ellipse from one angle to another, in degrees as in {@link direction}. */
export function arc(x: number, y: number, rx: number, ry: number, from: number, to: number): Point[] {
  const steps = Math.max(1, Math.ceil(Math.abs(to - from) / ARC_STEP))
  return Array.from({ length: steps + 1 }, (_, i) => {
    const [dx, dy] = direction(from + ((to - from) * i) / steps)
    return [x + rx * dx, y + ry * dy] as const
  })
}

/** A rectangle between two corners, its own corners rounded by `radius`. */
export function box(left: number, top: number, right: number, bottom: number, radius = 0): Path {
  if (radius === 0) return polygon([left, top], [right, top], [right, bottom], [left, bottom])
  const corner = (x: number, y: number, from: number) => arc(x, y, radius, radius, from, from + 90)
  return polygon(
    ...corner(right - radius, bottom - radius, 0),
    ...corner(left + radius, bottom - radius, 90),
    ...corner(left + radius, top + radius, 180),
    ...corner(right - radius, top + radius, 270),
  )
}

const SPLINE_STEPS = 5

/** A Catmull-Rom curve through `points`, from the first to the last or, when closed, back to the first. */
export function spline(points: readonly Point[], closed = false): Point[] {
  const n = points.length
  const at = (i: number) => points[closed ? (i + n) % n : Math.min(Math.max(i, 0), n - 1)] as Point
  const curve: Point[] = []
  for (let i = 0; i < (closed ? n : n - 1); i++) {
    const [p, q, r, s] = [at(i - 1), at(i), at(i + 1), at(i + 2)]
    for (let step = 0; step < SPLINE_STEPS; step++) {
      const t = step / SPLINE_STEPS
      const along = (k: 0 | 1) =>
        q[k] +
        0.5 * t * (r[k] - p[k] + t * (2 * p[k] - 5 * q[k] + 4 * r[k] - s[k] + t * (3 * (q[k] - r[k]) + s[k] - p[k])))
      curve.push([along(0), along(1)])
    }
  }
  if (!closed) curve.push(at(n - 1))
  return curve
}

/** The smooth closed shape through `points`. */
export const smooth = (...points: readonly Point[]): Path => polygon(...spline(points, true))

/** A line of some width with round joints and ends. */
export function stroke(points: readonly Point[], width: number): Path {
  const rings: Ring[] = []
  const r = width / 2
  for (const [i, [x, y]] of points.entries()) {
    rings.push(...ellipse(x, y, r))
    const [x1, y1] = points[i + 1] ?? [x, y]
    const length = Math.sqrt((x1 - x) * (x1 - x) + (y1 - y) * (y1 - y))
    if (length === 0) continue
    const nx = (-(y1 - y) / length) * r
    const ny = ((x1 - x) / length) * r
    rings.push(...polygon([x + nx, y + ny], [x1 + nx, y1 + ny], [x1 - nx, y1 - ny], [x - nx, y - ny]))
  }
  return rings
}

/** The path with left and right exchanged about x = 0; holes stay holes. */
export const mirrored = (path: Path): Path => path.map((ring) => ring.map(([x, y]) => [-x, y] as const).reverse())

export const transform = (path: Path, [a, b, c, d, e, f]: Matrix): Path =>
  path.map((ring) => ring.map(([x, y]) => [a * x + c * y + e, b * x + d * y + f] as const))

/** The part of a path where a x + b y ≤ c (Sutherland and Hodgman, Comm. ACM 17, 1974). */
export function clip(path: Path, a: number, b: number, c: number): Path {
  return path.flatMap((ring) => {
    const kept: Point[] = []
    let [x0, y0] = ring.at(-1) ?? [0, 0]
    let before = c - a * x0 - b * y0
    for (const [x, y] of ring) {
      const after = c - a * x - b * y
      if (before < 0 !== after < 0) {
        const t = before / (before - after)
        kept.push([x0 + (x - x0) * t, y0 + (y - y0) * t])
      }
      if (after >= 0) kept.push([x, y])
      x0 = x
      y0 = y
      before = after
    }
    return kept.length > 2 ? [kept] : []
  })
}

/** The smallest rectangle around a path. */
export function bounds(path: Path) {
  let left = Number.POSITIVE_INFINITY
  let top = Number.POSITIVE_INFINITY
  let right = Number.NEGATIVE_INFINITY
  let bottom = Number.NEGATIVE_INFINITY
  for (const ring of path) {
    for (const [x, y] of ring) {
      if (x < left) left = x
      if (x > right) right = x
      if (y < top) top = y
      if (y > bottom) bottom = y
    }
  }
  return { left, top, right, bottom }
}

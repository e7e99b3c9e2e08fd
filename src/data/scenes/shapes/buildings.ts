/** House. */
import { between, chance, pick } from '../draws.js'
import { box, ellipse, polygon, stroke } from '../geometry.js'
import { part, type Shape } from './shape.js'

export const house: Shape = (random) => {
  const half = between(random, 0.58, 0.95)
  const eaves = between(random, -0.25, 0.05)
  const over = half + between(random, 0.08, 0.22)
  const peak = eaves - between(random, 0.5, 0.8)
  const ridge = chance(random, 0.3) ? half * between(random, 0.3, 0.6) : 0
  const chimney = between(random, 0.3, 0.55) * half * pick(random, [-1, 1])
  const slope = (eaves - peak) / (over - ridge)
  const stack = peak + slope * Math.max(0, Math.abs(chimney) - ridge)
  const doorWidth = between(random, 0.14, 0.2)
  const door = pick(random, [-0.45, 0, 0.45]) * half
  const doorTop = 0.9 - between(random, 0.45, 0.6)
  const pane = between(random, 0.13, 0.18)
  const sill = doorTop + pane
  const windows = [-0.5, 0, 0.5].map((x) => x * half).filter((x) => Math.abs(x - door) > doorWidth + pane)
  const cross = (x: number) => [
    stroke(
      [
        [x, sill - pane],
        [x, sill + pane],
      ],
      0.05,
    ),
    stroke(
      [
        [x - pane, sill],
        [x + pane, sill],
      ],
      0.05,
    ),
  ]
  return [
    ...(chance(random, 0.7) ? [part('detail', box(chimney - 0.1, stack - 0.28, chimney + 0.1, stack + 0.25))] : []),
    part('body', box(-half, eaves, half, 0.9)),
    part('accent', polygon([-over, eaves + 0.04], [-ridge, peak], [ridge, peak], [over, eaves + 0.04])),
    part('detail', box(door - doorWidth, doorTop, door + doorWidth, 0.9)),
    part('trim', ...windows.map((x) => box(x - pane, sill - pane, x + pane, sill + pane))),
    part('detail', ...windows.flatMap(cross)),
    part('trim', ellipse(door + doorWidth * 0.55, (doorTop + 0.9) / 2, 0.035)),
  ]
}

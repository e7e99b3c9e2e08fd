/** Chair, clock and lamp. */
import { between, chance, pick } from '../draws.js'
import { arc, box, direction, ellipse, type Path, type Point, polygon, smooth, stroke } from '../geometry.js'
import { part, type Shape } from './shape.js'

/** A chair seen from the front and a little from the side and above. */
export const chair: Shape = (random) => {
  const half = between(random, 0.42, 0.55)
  const [dx, dy] = [between(random, 0.25, 0.42), between(random, 0.16, 0.3)]
  const seat = between(random, 0.02, 0.15)
  const top = -between(random, 0.85, 1.05)
  const lean = between(random, 0, 0.15)
  const leg = between(random, 0.09, 0.13)
  const [left, right] = [-half - dx / 2, half - dx / 2]
  const floor = 0.85
  const posts = [left, right].map((x) =>
    stroke(
      [
        [x - lean, top],
        [x, seat],
        [x, floor - dy * 0.6],
      ],
      leg,
    ),
  )
  const front = [left + dx, right + dx].map((x) =>
    stroke(
      [
        [x, seat + dy],
        [x, floor + dy * 0.4],
      ],
      leg,
    ),
  )
  // A share t of the way down the back:
  const at = (t: number) => top + (seat - top) * t
  const off = (t: number) => -lean * (1 - t)
  const across = (t: number, width: number) =>
    stroke(
      [
        [left + off(t), at(t)],
        [right + off(t), at(t)],
      ],
      width,
    )
  const down = (share: number) => {
    const x = left + (right - left) * share
    return stroke(
      [
        [x + off(0), at(0.05)],
        [x, seat],
      ],
      0.09,
    )
  }
  const backs: readonly (() => Path[])[] = [
    () => [across(0.08, 0.2), across(0.42, 0.13), across(0.7, 0.1)],
    () => [across(0.06, 0.16), ...[0.25, 0.5, 0.75].map(down)],
    () => [polygon([left - lean, top], [right - lean, top], [right + off(0.7), at(0.7)], [left + off(0.7), at(0.7)])],
  ]
  const [near, far] = [left + dx - 0.04, right + dx + 0.08]
  return [
    part('accent', ...posts),
    part('trim', ...pick(random, backs)()),
    part('accent', ...front),
    part('detail', box(near, seat + dy - 0.02, far, seat + dy + between(random, 0.06, 0.14))),
    part('body', polygon([left - 0.06, seat], [right + 0.04, seat], [far, seat + dy], [near, seat + dy])),
  ]
}

/** A clock with hands: plain, with bells and feet, or square. */
export const clock: Shape = (random) => {
  const radius = between(random, 0.72, 0.85)
  const rim = radius * between(random, 0.78, 0.86)
  const ticks = pick(random, [4, 12, 12])
  const marks = Array.from({ length: ticks }, (_, i) => {
    const [x, y] = direction((i * 360) / ticks)
    const quarter = i % (ticks / 4) === 0
    const from = rim * (quarter ? 0.76 : 0.84)
    return stroke(
      [
        [x * from, y * from],
        [x * rim * 0.93, y * rim * 0.93],
      ],
      quarter ? 0.09 : 0.06,
    )
  })
  const hand = (length: number, width: number) => {
    const [x, y] = direction(between(random, 0, 360))
    return stroke(
      [
        [-x * 0.08, -y * 0.08],
        [x * length, y * length],
      ],
      width,
    )
  }
  const alarm = chance(random, 0.45)
  const bell = (side: 1 | -1) => polygon(...arc(side * 0.5, -radius * 0.82, 0.3, 0.3, 180 + side * 45, 360 + side * 45))
  const feet = [-1, 1].map((side) =>
    stroke(
      [
        [side * 0.42, radius * 0.8],
        [side * 0.6, radius + 0.17],
      ],
      0.13,
    ),
  )
  const square = !alarm && chance(random, 0.35)
  return [
    ...(alarm
      ? [
          part(
            'accent',
            ...feet,
            bell(-1),
            bell(1),
            stroke(
              [
                [0, -radius],
                [0, -radius - 0.16],
              ],
              0.1,
            ),
          ),
        ]
      : []),
    part('body', square ? box(-radius, -radius, radius, radius, 0.14) : ellipse(0, 0, radius)),
    part('trim', ellipse(0, 0, rim)),
    part('detail', ...marks, hand(rim * 0.48, 0.11), hand(rim * 0.72, 0.075), ellipse(0, 0, 0.09)),
  ]
}

/** A table lamp under a shade, or a desk lamp on a jointed arm. */
export const lamp: Shape = (random) => {
  const foot = between(random, 0.32, 0.48)
  const base = polygon(...arc(0, 0.95, foot, 0.2, 180, 360))
  if (chance(random, 0.3)) {
    const elbow: Point = [-between(random, 0.35, 0.55), between(random, -0.05, 0.15)]
    const [x, y] = [between(random, 0.1, 0.3), between(random, -0.75, -0.6)]
    return [
      part('accent', stroke([[0, 0.85], elbow, [x, y]], 0.1), base),
      part('detail', ellipse(...elbow, 0.1)),
      part('trim', ellipse(x + 0.3, y + 0.42, 0.15)),
      part('body', polygon([x - 0.12, y - 0.2], [x + 0.2, y - 0.16], [x + 0.66, y + 0.3], [x - 0.12, y + 0.52])),
    ]
  }
  const bottom = between(random, 0.6, 0.85)
  const top = bottom * between(random, 0.35, 0.7)
  const hem = between(random, -0.28, -0.02)
  const crown = -between(random, 0.85, 1)
  const belly = between(random, 0.14, 0.28)
  const stem = chance(random, 0.5)
    ? smooth([-0.07, hem], [0.07, hem], [belly, 0.45], [0.1, 0.85], [-0.1, 0.85], [-belly, 0.45])
    : box(-0.05, hem, 0.05, 0.85)
  const cord = between(random, 0.2, 0.4) * bottom
  const pull = part(
    'detail',
    stroke(
      [
        [cord, hem],
        [cord, hem + 0.3],
      ],
      0.04,
    ),
    ellipse(cord, hem + 0.32, 0.055),
  )
  const band = polygon([-bottom * 0.97, hem - 0.1], [bottom * 0.97, hem - 0.1], [bottom, hem], [-bottom, hem])
  return [
    part('trim', ellipse(0, hem + 0.02, 0.12, 0.14)),
    part('accent', stem, base),
    ...(chance(random, 0.6) ? [pull] : []),
    part('body', polygon([-top, crown], [top, crown], [bottom, hem], [-bottom, hem])),
    ...(chance(random, 0.6) ? [part('detail', band)] : []),
  ]
}

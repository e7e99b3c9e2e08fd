/**
 * Where labels of points stand: beside their points, within the plot, off the points and each other, and off bars and lines
 * where there is room. Each takes the cheapest of many places around its point; one that stands far off gets a line to it.
 */

/** A rectangle in pixels. */
export interface Box {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

/** A straight line in pixels. */
export interface Segment {
  readonly x: number
  readonly y: number
  readonly x2: number
  readonly y2: number
}

export interface LabelledPoint {
  readonly x: number
  readonly y: number
  readonly label: string
}

export interface Surroundings {
  /** Of the plot. */
  readonly width: number
  readonly height: number
  /** What labels keep off where they can: error bars … */
  readonly bars?: readonly Box[]
  /** … and lines. */
  readonly lines?: readonly Segment[]
}

/** Where a label's middle is, the space it takes, and the line to its point if it stands far off. */
export interface PlacedLabel extends LabelledPoint {
  /** Which of the points it belongs to. */
  readonly of: number
  readonly box: Box
  readonly lead?: Segment
}

/** Space of a letter and of a line of them, in pixels. */
const LETTER = 7
const LINE = 14
/** From a point's middle to its edge. */
const POINT = 6
/** Distances between a point and its label. */
const gaps = [7, 10, 15, 22, 32, 44, 58, 74, 92, 120]
/** From this gap on, a line leads to the point. */
const FAR = 15
const directions = Array.from({ length: 24 }, (_, i) => (i * Math.PI) / 12)
/** What a place costs, beside its distance, for each bar and line that it meets, and for what its own line meets. */
const COST = { bar: 30, line: 12, lead: 200, point: 60, direction: 2 }
const PASSES = 3

/**
 * Finds places for labels: each takes the best there is in the order given, then each once more in view of all others.
 *
 * @returns the labels that found a place, in that order; in a plot so full that one finds none it is left out
 */
export function placeLabels(points: readonly LabelledPoint[], around: Surroundings): PlacedLabel[] {
  const placed: (PlacedLabel | undefined)[] = points.map(() => undefined)
  for (let pass = 0; pass < PASSES; pass++)
    for (const i of points.keys()) {
      placed[i] = undefined
      placed[i] = bestPlace(
        i,
        points,
        placed.flatMap((each) => each ?? []),
        around,
      )
    }
  return placed.flatMap((each) => each ?? [])
}

/** The cheapest place of a label that meets no point and no other label. */
function bestPlace(
  of: number,
  points: readonly LabelledPoint[],
  others: readonly PlacedLabel[],
  { width, height, bars = [], lines = [] }: Surroundings,
): PlacedLabel | undefined {
  const { x, y, label } = points[of] as LabelledPoint
  if (label === '') return undefined
  const half = (LETTER * label.length) / 2
  const symbols = points.map((each) => boxAt(each.x, each.y, POINT, POINT))
  const leads = others.flatMap(({ lead }) => lead ?? [])
  let best: { readonly cost: number; readonly place: PlacedLabel } | undefined
  for (const gap of gaps)
    for (const direction of directions) {
      const [right, down] = [Math.cos(direction), -Math.sin(direction)]
      const at = { x: x + right * (half + gap), y: y + down * (LINE / 2 + gap) }
      const box = boxAt(at.x, at.y, half, LINE / 2)
      if (box.left < 0 || box.right > width || box.top < 0 || box.bottom > height) continue
      if (symbols.some((each) => meets(each, box)) || others.some((each) => meets(each.box, box))) continue
      const lead = gap >= FAR ? leadTo({ x, y }, box) : undefined
      const across = (boxes: readonly Box[]) => (lead ? boxes.filter((each) => crosses(lead, each)).length : 0)
      const through = (segments: readonly Segment[]) => segments.filter((each) => crosses(each, box)).length
      const cost =
        gap +
        COST.bar * bars.filter((each) => meets(each, box)).length +
        COST.line * through(lines) +
        COST.lead * (through(leads) + across(others.map((each) => each.box))) +
        COST.point * across(symbols.filter((_, j) => j !== of)) +
        COST.direction * (1 + down + (right < 0 ? 0.5 : 0)) // above rather than below, right rather than left
      if (!best || cost < best.cost) best = { cost, place: { ...at, of, label, box, ...(lead && { lead }) } }
    }
  return best?.place
}

const boxAt = (x: number, y: number, halfWidth: number, halfHeight: number): Box => ({
  left: x - halfWidth,
  right: x + halfWidth,
  top: y - halfHeight,
  bottom: y + halfHeight,
})

export const meets = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom

/** From the edge of a point to the nearest place of a label's edge. */
function leadTo({ x, y }: { readonly x: number; readonly y: number }, { left, right, top, bottom }: Box): Segment {
  const [x2, y2] = [Math.min(right, Math.max(left, x)), Math.min(bottom, Math.max(top, y))]
  const length = Math.hypot(x2 - x, y2 - y) || 1
  return { x: x + ((x2 - x) * POINT) / length, y: y + ((y2 - y) * POINT) / length, x2, y2 }
}

/** Whether a line passes through a box (Liang and Barsky 1984). */
export function crosses({ x, y, x2, y2 }: Segment, { left, right, top, bottom }: Box): boolean {
  let [from, to] = [0, 1]
  const sides = [
    [x - x2, x - left],
    [x2 - x, right - x],
    [y - y2, y - top],
    [y2 - y, bottom - y],
  ] as const
  for (const [slope, room] of sides) {
    if (slope === 0) {
      if (room <= 0) return false
    } else if (slope < 0) from = Math.max(from, room / slope)
    else to = Math.min(to, room / slope)
  }
  return from < to
}

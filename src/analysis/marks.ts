/** Marks of tokens over a picture, as SVG: safe in browsers. */

import { overlay } from '../page/palette.js'
import type { TokenState } from './tokens.js'

/**
 * What stands on a picture `width` pixels wide: markup without colours of the page, the same on light and dark ones.
 *
 * @param grid - tokens in a row; default: of a square picture
 */
export function tokenMarks(
  states: readonly TokenState[],
  width: number,
  grid: number = Math.sqrt(states.length),
): string {
  const patch = width / grid
  const round = (value: number) => Number(value.toFixed(2))
  const cells = (state: TokenState, draw: (x: number, y: number) => string) =>
    states
      .flatMap((each, token) =>
        each === state ? [draw((token % grid) * patch, Math.floor(token / grid) * patch)] : [],
      )
      .join('')
  const square = (inset: number) => (x: number, y: number) => {
    const edge = round(patch - 2 * inset)
    return `M${round(x + inset)} ${round(y + inset)}h${edge}v${edge}h${-edge}z`
  }
  // Two strokes a token, which run on into its neighbours.
  const half = round(patch / 2)
  const strokes = (x: number, y: number) =>
    `M${round(x)} ${round(y + half)}l${half} ${-half}M${round(x + half)} ${round(y + patch)}l${half} ${-half}`
  const paper = cells('idle', square(0)) + cells('gone', square(0))
  const hatched = cells('idle', strokes) + cells('gone', strokes)
  const frames = cells('returned', square(patch / 11))
  const joined = cells('merged', square(patch / 11))
  const line = (path: string, colour: string, width: number) =>
    path && `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${round(patch * width)}"/>`
  return [
    paper &&
      `<path d="${paper}" fill="${overlay.paper}" fill-opacity="${overlay.fading}" shape-rendering="crispEdges"/>`,
    line(hatched, overlay.hatch, 0.055),
    line(joined, overlay.casing, 0.12),
    line(joined, overlay.joined, 0.06),
    line(frames, overlay.casing, 0.2),
    line(frames, overlay.frame, 0.1),
  ].join('')
}

/** Samples of the states, for legends. */
export function stateSwatch(state: TokenState): string {
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20" viewBox="0 0 20 20">' +
    '<linearGradient id="g" x2="1" y2="1"><stop stop-color="#7fb8dc"/><stop offset="1" stop-color="#3f8f4d"/></linearGradient>' +
    `<path d="M0 0h20v20h-20z" fill="url(#g)"/>${tokenMarks([state], 20)}</svg>`
  )
}

/** Pictures of maps: idle tokens over a photograph as SVG, an attention map as PNG. */

import { sharp } from '../images/sharp.js'
import { overlay } from '../page/palette.js'
import { rampColours } from '../page/ramp.js'
import type { BlockAttention } from './inspect.js'
import type { TokenState } from './tokens.js'

/** 8-bit RGB `[S, S, 3]` as JPEG bytes. */
export async function jpeg(rgb: Uint8Array, side: number): Promise<Uint8Array> {
  const encoded = sharp(rgb, { raw: { width: side, height: side, channels: 3 } }).jpeg({ quality: 86 })
  return new Uint8Array(await encoded.toBuffer())
}

/** A photograph under a map of its tokens. */
export interface TokenPicture {
  /** JPEG bytes of the square picture. */
  readonly photo: Uint8Array
  /** Its side in pixels. */
  readonly side: number
  /** State of every token in raster order; a square number of them. */
  readonly states: readonly TokenState[]
}

/** Idle tokens faded to hatched paper, tokens that came back framed: an SVG that is sharp at any size. */
export function tokenSvg({ photo, side, states }: TokenPicture): string {
  const size = `width="${side}" height="${side}"`
  const address = `data:image/jpeg;base64,${Buffer.from(photo).toString('base64')}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${side} ${side}">`,
    `<image href="${address}" ${size} preserveAspectRatio="none"/>`,
    tokenMarks(states, side),
    '</svg>',
  ].join('')
}

/** What stands on a picture of `side` pixels: markup without colours of the page, the same on light and dark ones. */
export function tokenMarks(states: readonly TokenState[], side: number): string {
  const grid = Math.sqrt(states.length)
  const patch = side / grid
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

/** Attention is drawn in multiples of the even share 1/N, from this to that, on a logarithmic scale. */
export const ATTENTION_RANGE = [1 / 16, 16] as const
const LEVELS = 64
/** Least side in pixels: twice what it is shown at. */
const SIDE = 560
/** Half the width of the line between selected and idle tokens, in pixels. */
const LINE = 2

/** A sorted attention map as PNG bytes; lines part the selected tokens from the idle ones. */
export async function attentionPng(map: BlockAttention): Promise<{ png: Uint8Array; side: number }> {
  const { rows, values, prefix, kept } = map
  const scale = Math.ceil(SIDE / rows)
  const side = rows * scale
  const ramp = await rampColours(LEVELS)
  const [low, high] = ATTENTION_RANGE.map(Math.log2) as [number, number]
  const border = prefix + kept
  const level = (value: number) => {
    const place = (Math.log2(value * rows) - low) / (high - low)
    return Math.round(Math.min(1, Math.max(0, place)) * (LEVELS - 1))
  }
  const isLine = (at: number) => at >= border * scale - LINE && at < border * scale + LINE
  const rgb = new Uint8Array(side * side * 3)
  for (let y = 0, at = 0; y < side; y++) {
    for (let x = 0; x < side; x++, at += 3) {
      const [i, j] = [Math.floor(y / scale), Math.floor(x / scale)]
      const onLine = border < rows && (isLine(y) || isLine(x))
      rgb.set(onLine ? [255, 255, 255] : (ramp[level(values[i * rows + j] as number)] as [number, number, number]), at)
    }
  }
  const encoded = sharp(rgb, { raw: { width: side, height: side, channels: 3 } }).png({ palette: true, effort: 5 })
  return { png: new Uint8Array(await encoded.toBuffer()), side }
}

/** Pictures of maps: idle tokens over a photograph as SVG, an attention map as PNG. */

import { sharp } from '../images/sharp.js'
import { rampColours } from '../page/ramp.js'
import type { BlockAttention } from './inspect.js'
import type { TokenState } from './tokens.js'

const DIM = '#0d1117'
const MARK = '#ffb224'

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

/** Idle tokens dimmed, tokens that came back outlined: an SVG that is sharp at any size. */
export function tokenSvg({ photo, side, states }: TokenPicture): string {
  const grid = Math.sqrt(states.length)
  const patch = side / grid
  const cells = (state: TokenState, inset: number) =>
    states
      .flatMap((each, token) => {
        if (each !== state) return []
        const [x, y] = [(token % grid) * patch + inset, Math.floor(token / grid) * patch + inset]
        const edge = patch - 2 * inset
        return [`M${x} ${y}h${edge}v${edge}h${-edge}z`]
      })
      .join('')
  const outline = cells('returned', patch / 12)
  const stroke = (colour: string, width: number) =>
    outline && `<path d="${outline}" fill="none" stroke="${colour}" stroke-width="${(patch * width) / 12}"/>`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}" viewBox="0 0 ${side} ${side}">`,
    `<image href="data:image/jpeg;base64,${Buffer.from(photo).toString('base64')}" width="${side}" height="${side}"/>`,
    `<path d="${cells('idle', 0)}" fill="${DIM}" fill-opacity=".74" shape-rendering="crispEdges"/>`,
    stroke(DIM, 2.2),
    stroke(MARK, 1.1),
    '</svg>',
  ].join('')
}

/** Samples of the three states, for legends. */
export function stateSwatch(state: TokenState): string {
  const [fill, opacity] = state === 'idle' ? [DIM, 0.74] : ['none', 0]
  const ring = state === 'returned' ? `<path d="M2 2h16v16h-16z" fill="none" stroke="${MARK}" stroke-width="2.5"/>` : ''
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20" viewBox="0 0 20 20">' +
    '<linearGradient id="g" x2="1" y2="1"><stop stop-color="#8fc7e8"/><stop offset="1" stop-color="#4d9a58"/></linearGradient>' +
    `<path d="M0 0h20v20h-20z" fill="url(#g)"/><path d="M0 0h20v20h-20z" fill="${fill}" fill-opacity="${opacity}"/>${ring}</svg>`
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

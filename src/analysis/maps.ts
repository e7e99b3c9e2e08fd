/** Pictures of maps: idle tokens over a photograph as SVG, an attention map as PNG. */

import { sharp } from '../images/sharp.js'
import { rampColours } from '../page/ramp.js'
import { attentionPlace } from './attention.js'
import type { BlockAttention, WindowAttention } from './inspect.js'
import { tokenMarks } from './marks.js'
import type { TokenState } from './tokens.js'

/** 8-bit RGB `[height, width, 3]` as JPEG bytes. */
export async function jpeg(rgb: Uint8Array, width: number, height = width): Promise<Uint8Array> {
  const encoded = sharp(rgb, { raw: { width, height, channels: 3 } }).jpeg({ quality: 86 })
  return new Uint8Array(await encoded.toBuffer())
}

/** A photograph under a map of its tokens. */
export interface TokenPicture {
  /** JPEG bytes of the picture. */
  readonly photo: Uint8Array
  /** Its width in pixels, and its height where that is another. */
  readonly side: number
  readonly height?: number
  /** State of every token in raster order. */
  readonly states: readonly TokenState[]
  /** Tokens in a row; default: of a square picture. */
  readonly columns?: number
}

/** Idle tokens faded to hatched paper, tokens that came back framed: an SVG that is sharp at any size. */
export function tokenSvg({ photo, side, height = side, states, columns }: TokenPicture): string {
  const size = `width="${side}" height="${height}"`
  const address = `data:image/jpeg;base64,${Buffer.from(photo).toString('base64')}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${side} ${height}">`,
    `<image href="${address}" ${size} preserveAspectRatio="none"/>`,
    tokenMarks(states, side, columns),
    '</svg>',
  ].join('')
}

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
  const border = prefix + kept
  const level = (value: number) => Math.round(attentionPlace(value, rows) * (LEVELS - 1))
  const isLine = (at: number) => at >= border * scale - LINE && at < border * scale + LINE
  const rgb = new Uint8Array(side * side * 3)
  for (let y = 0, at = 0; y < side; y++) {
    for (let x = 0; x < side; x++, at += 3) {
      const [i, j] = [Math.floor(y / scale), Math.floor(x / scale)]
      const onLine = border < rows && (isLine(y) || isLine(x))
      rgb.set(onLine ? [255, 255, 255] : (ramp[level(values[i * rows + j] as number)] as [number, number, number]), at)
    }
  }
  return { png: await encodeMap(rgb, side), side }
}

/** What the tokens of a square map receive within windows, as PNG bytes: each a square of the picture that it covers. */
export async function receivedPng(seen: WindowAttention, least: number): Promise<{ png: Uint8Array; side: number }> {
  const { map, values, windowRows } = seen
  const [rows] = map
  const side = rows * Math.ceil(Math.max(SIDE, least) / rows)
  const ramp = await rampColours(LEVELS)
  const rgb = new Uint8Array(side * side * 3)
  for (let y = 0, at = 0; y < side; y++) {
    for (let x = 0; x < side; x++, at += 3) {
      const token = Math.floor((y * rows) / side) * rows + Math.floor((x * rows) / side)
      const level = Math.round(attentionPlace(values[token] as number, windowRows) * (LEVELS - 1))
      rgb.set(ramp[level] as [number, number, number], at)
    }
  }
  return { png: await encodeMap(rgb, side), side }
}

async function encodeMap(rgb: Uint8Array, side: number): Promise<Uint8Array> {
  const encoded = sharp(rgb, { raw: { width: side, height: side, channels: 3 } }).png({ palette: true, effort: 5 })
  return new Uint8Array(await encoded.toBuffer())
}

/** Small pictures in every format, made when needed. */

import sharp from 'sharp'

export const WIDTH = 37
export const HEIGHT = 23

/** A smooth picture with an asymmetric layout, RGB, [23, 37, 3]. */
export const rgb: Uint8Array = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => {
  const x = Math.trunc(i / 3) % WIDTH
  const y = Math.trunc(i / 3 / WIDTH)
  return [6 * x, 10 * y, 3 * x + 4 * y][i % 3] as number
})

/** The same with an alpha that goes from clear to opaque. */
const rgba = Uint8Array.from({ length: WIDTH * HEIGHT * 4 }, (_, i) => {
  const pixel = Math.trunc(i / 4)
  return i % 4 === 3 ? pixel % 256 : (rgb[pixel * 3 + (i % 4)] as number)
})

const picture = () => sharp(rgb, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
const clear = () => sharp(rgba, { raw: { width: WIDTH, height: HEIGHT, channels: 4 } })

/** Encoders by name. */
export const encoders = {
  png: () => picture().png(),
  'png interlaced': () => picture().png({ progressive: true }),
  'png palette': () => picture().png({ palette: true }),
  'png alpha': () => clear().png(),
  'png grey': () => picture().toColourspace('b-w').png(),
  'png 16-bit': () => picture().toColourspace('rgb16').png(),
  'png 16-bit grey': () => picture().toColourspace('grey16').png(),
  'png wide gamut': () => picture().withIccProfile('p3').png(),
  jpeg: () => picture().jpeg({ quality: 95, chromaSubsampling: '4:4:4' }),
  'jpeg progressive': () => picture().jpeg({ progressive: true }),
  'jpeg grey': () => picture().toColourspace('b-w').jpeg({ quality: 95 }),
  'jpeg cmyk': () => picture().toColourspace('cmyk').jpeg({ quality: 95 }),
  'webp lossless': () => picture().webp({ lossless: true }),
  'webp alpha': () => clear().webp({ lossless: true, exact: true }),
  webp: () => picture().webp({ quality: 90 }),
  avif: () => picture().avif({ lossless: true }),
  gif: () => picture().gif(),
  tiff: () => picture().tiff({ compression: 'none' }),
  'tiff lzw': () => clear().tiff({ compression: 'lzw' }),
  'tiff jpeg': () => picture().tiff({ compression: 'jpeg', quality: 95 }),
  'tiff 16-bit': () => picture().toColourspace('rgb16').tiff({ compression: 'deflate' }),
  'tiff cmyk': () => picture().toColourspace('cmyk').tiff({ compression: 'none' }),
} as const

export type Encoding = keyof typeof encoders

/** The picture as a file of that kind. */
export async function encode(encoding: Encoding): Promise<Uint8Array> {
  return new Uint8Array(await encoders[encoding]().toBuffer())
}

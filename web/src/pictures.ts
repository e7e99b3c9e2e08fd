/** Pictures: the generated ones that come with the page, and one's own. */

import { type RgbImage, scene, sceneClasses, sceneSeeds } from 'idlevit'

/** Generated pictures to begin with: kinds of objects apart, all recognised but one, which is not at a third of the ratios. */
export const builtIn: readonly number[] = [25, 68, 69, 20, 22, 27, 61, 53, 6, 71, 18, 38]

/** A generated picture and what it shows. */
export function generated(number: number): { readonly image: RgbImage; readonly label: string } {
  const { image, label } = scene(sceneSeeds.test, number)
  return { image, label: sceneClasses[label] ?? '' }
}

/** The longest side that is looked at: more is scaled down by the browser, before the model's own resizing. */
const MOST = 2048

/** A picture of the page's own kinds as pixels on white. */
export function pixelsOf(source: CanvasImageSource, width: number, height: number): RgbImage {
  const scale = Math.min(1, MOST / Math.max(width, height))
  const size = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) }
  const canvas = Object.assign(document.createElement('canvas'), size)
  const context = canvas.getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error('this browser draws no pictures')
  context.fillStyle = '#fff' // what shows through
  context.fillRect(0, 0, size.width, size.height)
  context.drawImage(source, 0, 0, size.width, size.height)
  const { data } = context.getImageData(0, 0, size.width, size.height)
  const rgb = new Uint8Array(size.width * size.height * 3) // [height, width, 3]
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3)
    for (let c = 0; c < 3; c++) rgb[to + c] = data[from + c] as number
  return { ...size, data: rgb }
}

/**
 * Reads a picture file, turned as its EXIF data says.
 *
 * @throws Error in words for people when it is none
 */
export async function readPicture(file: Blob, name: string): Promise<RgbImage> {
  if (file.size === 0) throw new Error(`${name} is empty`)
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' })
  } catch {
    throw new Error(`${name} is no picture that this browser can read`)
  }
  try {
    return pixelsOf(bitmap, bitmap.width, bitmap.height)
  } finally {
    bitmap.close()
  }
}

/** The address of a picture that lies in memory: `[S, S, 3]`, square. */
export function addressOf(rgb: ArrayLike<number>, side: number): string {
  const canvas = Object.assign(document.createElement('canvas'), { width: side, height: side })
  const context = canvas.getContext('2d')
  const data = new ImageData(side, side)
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    for (let c = 0; c < 3; c++) data.data[to + c] = rgb[from + c] as number
    data.data[to + 3] = 255
  }
  context?.putImageData(data, 0, 0)
  return canvas.toDataURL()
}

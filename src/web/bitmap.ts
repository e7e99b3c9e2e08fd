/** What a bitmap holds, as it was decoded. */

import { fail, InputError } from '../errors.js'
import { MAX_PIXELS, type PixelData, rgbOf } from '../images/pixels.js'
import type { RgbImage } from '../images/resample.js'

/**
 * The pixels of a bitmap, transparency left aside.
 *
 * A 2d canvas keeps colours multiplied by their alpha: exact where nothing is transparent. Elsewhere a texture keeps
 * them as they are; where there is no WebGL, or the picture is larger than a texture, colours under transparency are
 * rounded.
 *
 * @throws InputError when there are too many
 */
export function pixelsOf(bitmap: ImageBitmap, name: string): RgbImage {
  const { width, height } = bitmap
  if (width * height > MAX_PIXELS)
    fail(`${name}: ${width}×${height} pixels, more than the ${MAX_PIXELS} a picture may have`)
  try {
    const drawn = drawnPixels(bitmap)
    const transparent = drawn.data.some((value, i) => i % 4 === 3 && value < 255)
    return rgbOf((transparent && texturePixels(bitmap)) || drawn, name)
  } catch (error) {
    if (error instanceof InputError) throw error
    return fail(`${name}: ${width}×${height} pixels cannot be read here (${(error as Error).message})`)
  }
}

function drawnPixels(bitmap: ImageBitmap): ImageData {
  const { width, height } = bitmap
  const context = canvasOf(width, height).getContext('2d', {
    willReadFrequently: true,
  }) as CanvasRenderingContext2D | null
  if (!context) return fail('pictures: there is no 2d canvas here; pixels (width, height, data) can be read')
  context.drawImage(bitmap, 0, 0)
  return context.getImageData(0, 0, width, height)
}

function texturePixels(bitmap: ImageBitmap): PixelData | undefined {
  const { width, height } = bitmap
  const gl = canvasOf(1, 1).getContext('webgl2') as WebGL2RenderingContext | null
  if (!gl) return undefined
  try {
    if (Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return undefined
    const texture = gl.createTexture()
    gl.bindTexture(gl.TEXTURE_2D, texture)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap)
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer())
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0)
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) return undefined
    const data = new Uint8Array(4 * width * height)
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data)
    return gl.getError() === gl.NO_ERROR ? { width, height, data } : undefined
  } finally {
    gl.getExtension('WEBGL_lose_context')?.loseContext() // a page has a few of them at most
  }
}

const canvasOf = (width: number, height: number): HTMLCanvasElement | OffscreenCanvas =>
  typeof OffscreenCanvas === 'undefined'
    ? Object.assign(document.createElement('canvas'), { width, height })
    : new OffscreenCanvas(width, height)

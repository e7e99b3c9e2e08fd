/** Threads that decode and transform pictures beside what the main thread does. */

import { availableParallelism } from 'node:os'
import { InputError } from '../errors.js'
import { type Preprocess, pictureLength } from '../images/preprocess.js'
import { startThread, type Thread } from '../threads.js'
import type { Source } from './dataset.js'
import type { Done, Work } from './worker.js'

/** A thread that decodes; `close` stops it after the picture in hand. */
export type Decoder = Thread<Work, Done>

/** Starts a decoder. It loads the image library while its starter goes on. */
export const startDecoder = (): Decoder =>
  startThread(new URL('./worker.js', import.meta.url), import.meta.url, undefined)

/** Starts as many decoders as keep a model fed on the same machine: one for four cores. */
export const startDecoders = (count = Math.ceil(availableParallelism() / 4)): readonly Decoder[] =>
  Array.from({ length: count }, startDecoder)

/**
 * Reads one picture as a person sees it: turned by its EXIF orientation.
 *
 * @param source where it is; a path when left out
 * @returns [3, height, width] of the crop
 * @throws InputError naming the file
 */
export async function readPicture(
  decoder: Decoder,
  name: string,
  preprocess: Preprocess,
  source: Source = { kind: 'file', path: name },
): Promise<Float32Array> {
  const memory = new ArrayBuffer(4 * pictureLength(preprocess))
  const pictures = [{ name, source, draw: 0 }] as const
  const transform = { kind: 'evaluate', preprocess } as const
  const { memory: filled, reasons } = await decoder.ask({ transform, orient: true, memory, pictures }, [memory])
  const [reason] = reasons
  if (typeof reason === 'string') throw new InputError(`${name}: ${reason}`)
  return new Float32Array(filled) // [3, S, S]
}

/**
 * Labelled pictures, wherever they lie: one shape for an image folder, a list file, tar shards, CIFAR batches and
 * generated pictures. A data set knows names and labels; `source(i)` says where the bytes of picture i are, as plain
 * data that travels to a worker, so pictures can be read in any order and by any thread.
 */

import type { RgbImage } from '../images/resample.js'
import type { LeftOut } from './left-out.js'

/** One labelled picture. */
export interface Sample {
  /** What messages and reports call it. */
  readonly name: string
  /** Index into the data's own classes: those of `classNames`, or numbers as they stand in the data. */
  readonly label: number
}

/** Where a picture's bytes are. A structured-cloneable value. */
export type Source =
  /** A whole picture file. */
  | { readonly kind: 'file'; readonly path: string }
  /** An encoded picture inside a larger file, named by path or by an open descriptor of this process. */
  | { readonly kind: 'range'; readonly file: string | number; readonly offset: number; readonly length: number }
  /** Uncompressed 8-bit planes inside a larger file, [3, height, width]: a CIFAR record. */
  | {
      readonly kind: 'planes'
      readonly file: string
      readonly offset: number
      readonly width: number
      readonly height: number
    }
  /** An encoded picture in memory. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A decoded picture in memory, RGB, [height, width, 3]. */
  | ({ readonly kind: 'rgb' } & RgbImage)
  /** A picture drawn where it is read: `scene(seed, index)`. */
  | { readonly kind: 'scene'; readonly seed: number; readonly index: number }

/** Labelled pictures with random access. */
export interface Dataset {
  /** What the user called it. */
  readonly name: string
  readonly samples: readonly Sample[]
  /** Names of the classes, by index, where the data itself has them. */
  readonly classNames?: readonly string[]
  /** What lies there too and is not used. Names that start with a dot are hidden and not listed. */
  readonly leftOut?: readonly LeftOut[]
  /** What is odd about it and still used, one line each. */
  readonly warnings?: readonly string[]
  /** Where picture `index` is. */
  source(index: number): Source
  /** Gives back open files; the data set is of no use afterwards. */
  close(): Promise<void>
}

/** Options of {@link openDataset}. */
export interface DatasetOptions {
  /** How many classes the model knows: a number outside 0 … classes - 1 in a list file or tar is refused, by line or entry. */
  readonly classes?: number
}

/**
 * Batches of preprocessed pictures, decoded by worker threads while the main thread runs the model.
 *
 * ONNX Runtime's `run` blocks the main thread, so whole chunks of pictures are handed out ahead: a worker needs nothing
 * from the main thread until a batch is full. The memory of a batch travels to a worker and back and is used again
 * (onnxruntime-node refuses tensors over a SharedArrayBuffer). The order is that of the request, whatever the number of
 * workers; pictures that cannot be read are left out and the next ones move up.
 */

import { fail } from '../errors.js'
// Keeps libvips loaded in the process when the last worker leaves.
import '../images/sharp.js'
import type { AugmentRecipe } from '../images/augment/augment.js'
import type { Preprocess } from '../images/preprocess.js'
import type { Dataset, Sample } from './dataset.js'
import { type Decoder, startDecoders } from './decoder.js'
import { type Transform, transformSize } from './transform.js'
import type { Work } from './worker.js'

/** A batch, ready for a model. */
export interface Batch {
  /** [n, 3, S, S]. Valid until the next batch is asked for (or later, see `held`): then its memory is used again. */
  readonly pixels: Float32Array
  /** [n] */
  readonly labels: Int32Array
  /** [n] */
  readonly names: readonly string[]
  /** [n], positions in `dataset.samples`. */
  readonly indices: Int32Array
  /** [n], positions in the order asked for. */
  readonly positions: Int32Array
}

/** Options of {@link loadBatches}. */
export interface LoaderOptions {
  /** Pictures in a batch; the last batch may be shorter. */
  readonly batch: number
  readonly preprocess: Preprocess
  /** Which pictures, in which order; all of them in the data set's order when left out. */
  readonly order?: ArrayLike<number>
  /** Worker threads; a quarter of the cores, at least one, when left out. */
  readonly workers?: number
  /** Threads to use instead of ones of the loop's own: they start earlier, serve several loops, and the caller ends them. */
  readonly decoders?: readonly Decoder[]
  /** Batches that stay valid when the next is asked for; none when left out. */
  readonly held?: number
  /** Batches decoded ahead of the one in use; one more than there are workers when left out. */
  readonly prefetch?: number
  /**
   * Augment for training, by random numbers of (seed, epoch, `first` + position in the order): the same pictures
   * whatever the number of workers, and wherever an epoch is taken up again.
   */
  readonly augment?: {
    readonly recipe: AugmentRecipe
    readonly seed: number
    readonly epoch: number
    readonly first: number
  }
  /** Apply EXIF orientation. Off when left out, as torchvision has it. */
  readonly orient?: boolean
  /** Told of every picture that cannot be read, in order; the next pictures take its place. */
  readonly onSkip?: (name: string, reason: string, index: number) => void
}

/** Pictures in memory: those from `from` on have not been delivered yet. */
interface Chunk {
  readonly pixels: Float32Array<ArrayBuffer> // [batch, 3, S, S], the first indices.length of them filled
  readonly indices: readonly number[]
  readonly positions: readonly number[]
  readonly from: number
  readonly skipped: readonly { readonly name: string; readonly reason: string; readonly index: number }[]
}

/**
 * Decodes and preprocesses pictures in the given order.
 *
 * Workers start at the call, so that they are at work while a model loads; idle ones never keep the process alive.
 * Leaving the loop early, or calling `return()`, stops them. At most `prefetch + held + 2` batches are in memory.
 *
 * @example
 * for await (const { pixels, labels } of loadBatches(dataset, { batch: 16, preprocess: imagenetPreprocess() })) …
 */
export function loadBatches(dataset: Dataset, options: LoaderOptions): AsyncIterableIterator<Batch> {
  const { batch, onSkip } = options
  const { preprocess, augment } = options
  const transform: Transform = augment ? { kind: 'train', preprocess, ...augment } : { kind: 'evaluate', preprocess }
  const size = transformSize(transform)
  const manner = { transform, orient: options.orient ?? false, first: augment?.first ?? 0 }
  const order = options.order ?? Array.from(dataset.samples.keys())
  const workers = options.decoders ?? startDecoders(options.workers)
  const prefetch = options.prefetch ?? workers.length + 1

  const free: Chunk['pixels'][] = []
  const held: Chunk['pixels'][] = []
  const ahead: Promise<Chunk>[] = []
  let asked = 0 // pictures of `order` handed out
  let good = 0 // of these, delivered, read or hoped for

  /** Hands out work until `prefetch` chunks are under way. */
  function handOut(): void {
    while (ahead.length < prefetch && asked < order.length) {
      // A full batch; after unreadable pictures a smaller chunk, so that chunks and batches coincide again.
      const wanted = Math.min(batch - (good % batch), order.length - asked)
      const picked = Array.from({ length: wanted }, (_, i) => ({
        index: order[asked + i] as number,
        position: asked + i,
      }))
      asked += wanted
      good += wanted
      const memory = free.pop() ?? new Float32Array(batch * size)
      const chunk = readChunk(dataset, workers, picked, { ...manner, memory: memory.buffer })
      chunk.catch(() => {}) // a failure is met when the chunk is waited for
      ahead.push(chunk)
    }
  }

  /** The next chunk that holds any picture; undefined at the end. */
  async function arrival(): Promise<Chunk | undefined> {
    for (;;) {
      handOut()
      const chunk = await ahead.shift()
      for (const { name, reason, index } of chunk?.skipped ?? []) onSkip?.(name, reason, index)
      good -= chunk?.skipped.length ?? 0
      if (!chunk || chunk.indices.length > 0) return chunk
      free.push(chunk.pixels)
    }
  }

  async function* deliver(): AsyncGenerator<Batch, void> {
    let next = await arrival()
    while (next) {
      const { pixels, from } = next // [batch, 3, S, S]
      const indices = next.indices.slice(from)
      const positions = next.positions.slice(from)
      if (from > 0) pixels.copyWithin(0, from * size)
      next = undefined
      while (indices.length < batch && !next) {
        const more = await arrival()
        if (!more) break
        const moved = more.indices.slice(0, batch - indices.length)
        pixels.set(more.pixels.subarray(0, moved.length * size), indices.length * size)
        indices.push(...moved)
        positions.push(...more.positions.slice(0, moved.length))
        if (moved.length < more.indices.length) next = { ...more, from: moved.length }
        else free.push(more.pixels)
      }
      handOut()
      yield {
        pixels: pixels.subarray(0, indices.length * size), // [n, 3, S, S]
        labels: Int32Array.from(indices, (i) => sampleAt(dataset, i).label),
        names: indices.map((i) => sampleAt(dataset, i).name),
        indices: Int32Array.from(indices),
        positions: Int32Array.from(positions),
      }
      held.push(pixels)
      if (held.length > (options.held ?? 0)) free.push(held.shift() as Chunk['pixels'])
      next ??= await arrival()
    }
  }

  handOut()
  const batches = deliver()
  const stop = async () => {
    if (!options.decoders) await Promise.all(workers.map((worker) => worker.close()))
  }
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      const result = await batches.next().catch((error) => stop().then(() => Promise.reject(error)))
      if (result.done) await stop()
      return result
    },
    async return() {
      await batches.return()
      await stop()
      return { done: true, value: undefined }
    },
  }
}

/** Lets the least busy worker read pictures into memory. */
async function readChunk(
  dataset: Dataset,
  workers: readonly Decoder[],
  picked: readonly { readonly index: number; readonly position: number }[],
  { first, ...work }: Omit<Work, 'pictures'> & { readonly first: number },
): Promise<Chunk> {
  const names = picked.map(({ index }) => sampleAt(dataset, index).name)
  const pictures = picked.map(({ index, position }, at) => ({
    name: names[at] as string,
    source: dataset.source(index),
    draw: first + position,
  }))
  const worker = workers.reduce((a, b) => (b.waiting() < a.waiting() ? b : a))
  const { memory, reasons } = await worker.ask({ ...work, pictures }, [work.memory])
  const readable = picked.filter((_, at) => reasons[at] === null)
  return {
    pixels: new Float32Array(memory),
    indices: readable.map(({ index }) => index),
    positions: readable.map(({ position }) => position),
    from: 0,
    skipped: picked.flatMap(({ index }, at) => {
      const [name = '', reason] = [names[at], reasons[at]]
      return reason ? [{ name, reason, index }] : []
    }),
  }
}

function sampleAt(dataset: Dataset, index: number): Sample {
  return dataset.samples[index] ?? fail(`${dataset.name}: no picture ${index}, it has ${dataset.samples.length}`)
}

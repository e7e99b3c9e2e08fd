/**
 * WebDataset shards: tar files, plain or gzipped, in which files with the same name up to the first dot are one sample,
 * `key.jpg` the picture and `key.cls` its class index (https://github.com/webdataset/webdataset, "The WebDataset Format").
 *
 * A shard is read through once when it is opened. Pictures of a plain tar stay where they are and are read by position;
 * a gzipped one allows no such access, so its pictures are unpacked to one temporary file (in `TMPDIR`), which has no
 * name any more from the start and vanishes with the process. Memory holds names, labels and positions only.
 */

import { randomBytes } from 'node:crypto'
import { closeSync, createReadStream, openSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { type Extract, extract } from 'tar-stream'
import { fail, InputError } from '../errors.js'
import { fileError, readAt, withFile } from '../files.js'
import { pictureExtensions } from '../images/format.js'
import type { Dataset, DatasetOptions, Sample } from './dataset.js'
import { checkLabel } from './label.js'

/** A file inside a tar; the library's types leave out what its stream holds. */
type Entry = (Extract extends AsyncIterable<infer Item> ? Item : never) & AsyncIterable<Uint8Array>

interface Place {
  readonly file: string | number
  readonly offset: number
  readonly length: number
}

/** What is known of a key so far. */
interface Parts {
  picture?: Place & { readonly name: string }
  label?: number
}

const LONGEST_LABEL = 64

/**
 * Opens tar shards one after the other; samples stand in the order of the shards.
 *
 * @throws InputError naming shard and key: not a tar file or cut short, a picture without label or a label without
 *   picture, a label that is no class index, no pictures at all
 */
export async function openWebDataset(
  name: string,
  shards: readonly string[],
  { classes }: DatasetOptions = {},
): Promise<Dataset> {
  const samples: Sample[] = []
  const places: Place[] = []
  const unpacked = temporaryFile()
  try {
    for (const shard of shards) {
      for (const [key, { picture, label }] of await readShard(shard, classes, unpacked)) {
        if (!picture) fail(`${shard}: '${key}' has a label but no picture`)
        if (label === undefined) fail(`${shard}: '${key}' has a picture but no label (${key}.cls)`)
        samples.push({ name: `${basename(shard)}/${picture.name}`, label })
        places.push({ file: picture.file, offset: picture.offset, length: picture.length })
      }
    }
    if (samples.length === 0) fail(`${name}: holds no pictures (key.jpg, key.png, key.webp with key.cls)`)
  } catch (error) {
    unpacked.close()
    throw error
  }
  return {
    name,
    samples,
    source: (index) => ({
      kind: 'range',
      ...(places[index] ?? fail(`${name}: no picture ${index}, it has ${places.length}`)),
    }),
    close: async () => unpacked.close(),
  }
}

/** Reads a shard through and notes where its pictures are, by key. */
async function readShard(
  shard: string,
  classes: number | undefined,
  unpacked: TemporaryFile,
): Promise<Map<string, Parts>> {
  const magic = await withFile(shard, (file) => readAt(file, 0, 2))
  const zipped = magic[0] === 0x1f && magic[1] === 0x8b
  const parts = new Map<string, Parts>()
  const tar = extract()
  const file = createReadStream(shard, { highWaterMark: 1 << 20 })
  const read = zipped ? pipeline(file, createGunzip({ chunkSize: 1 << 18 }), tar) : pipeline(file, tar)
  read.catch(() => {}) // the loop below meets the same error
  try {
    for await (const entry of tar as AsyncIterable<Entry>) {
      await note(entry)
      entry.resume()
    }
    await read
  } catch (error) {
    if (error instanceof InputError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    fail(`${shard}: not a whole ${zipped ? 'gzipped ' : ''}tar file (${reason})`)
  }
  return parts

  async function note(entry: Entry): Promise<void> {
    const { name, type, size = 0 } = entry.header
    const dot = name.indexOf('.', name.lastIndexOf('/') + 1)
    const [key, extension] = [name.slice(0, dot), name.slice(dot + 1).toLowerCase()]
    if (type !== 'file' || dot < 0 || key === '' || key.endsWith('/')) return
    if (extension !== 'cls' && !pictureExtensions.has(extension)) return
    const known: Parts = parts.get(key) ?? {}
    parts.set(key, known)
    if (extension === 'cls') {
      if (known.label !== undefined) fail(`${shard}: '${name}' is there twice`)
      if (size > LONGEST_LABEL) fail(`${shard}: '${name}' is no class index (${size} bytes)`)
      known.label = checkLabel((await text(entry)).trim(), classes, `${shard}, ${name}`)
      return
    }
    if (known.picture) fail(`${shard}: '${key}' has two pictures, ${known.picture.name} and ${name}`)
    const offset = zipped ? await unpacked.append(entry) : dataOffset(entry)
    known.picture = { name, file: zipped ? unpacked.descriptor() : shard, offset, length: size }
  }
}

/** Where an entry's content starts: 512 bytes behind its header. */
function dataOffset(entry: Entry): number {
  return entry.offset + 512
}

async function text(entry: Entry): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of entry) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** A file without a name, made when first needed. */
interface TemporaryFile {
  /** Writes the stream at the end; where it starts. */
  append(stream: AsyncIterable<Uint8Array>): Promise<number>
  descriptor(): number
  close(): void
}

function temporaryFile(): TemporaryFile {
  let open: number | undefined
  let end = 0
  const descriptor = () => {
    if (open === undefined) {
      const path = join(tmpdir(), `idlevit-${randomBytes(8).toString('hex')}.tmp`)
      try {
        open = openSync(path, 'wx+', 0o600)
        unlinkSync(path)
      } catch (error) {
        throw fileError(error, path)
      }
    }
    return open
  }
  return {
    descriptor,
    async append(stream) {
      const start = end
      const file = descriptor()
      for await (const chunk of stream) {
        try {
          for (let done = 0; done < chunk.length; )
            done += writeSync(file, chunk, done, chunk.length - done, end + done)
        } catch (error) {
          throw fileError(error, `${tmpdir()} (unpacking a gzipped tar)`)
        }
        end += chunk.length
      }
      return start
    },
    close() {
      if (open !== undefined) closeSync(open)
      open = undefined
    },
  }
}

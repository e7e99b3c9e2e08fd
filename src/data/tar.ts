/** Reads a tar file through, plain or gzipped (POSIX.1-2017, pax, "ustar Interchange Format"). */

import { createReadStream } from 'node:fs'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { type Extract, extract } from 'tar-stream'
import { fail, InputError } from '../errors.js'
import { readAt, withFile } from '../files.js'

/** A file inside a tar; the library's types leave out what its stream holds. */
export type Entry = (Extract extends AsyncIterable<infer Item> ? Item : never) & AsyncIterable<Uint8Array>

const BLOCK = 512

/**
 * Hands every entry to `visit`, in order.
 *
 * An archive ends with blocks of zeros; one without them was cut between two entries, and nothing tells how many are
 * missing.
 *
 * @throws InputError when the file is no tar file, damaged, or ends early
 */
export async function readTar(path: string, visit: (entry: Entry, zipped: boolean) => Promise<void>): Promise<void> {
  const magic = await withFile(path, (file) => readAt(file, 0, 2))
  const zipped = magic[0] === 0x1f && magic[1] === 0x8b
  const tar = extract({ allowUnknownFormat: true } as object) // Unix V7's, which the library's types do not know of
  const file = createReadStream(path, { highWaterMark: 1 << 20 })
  const tail = tailOf()
  const read = zipped
    ? pipeline(file, createGunzip({ chunkSize: 1 << 18 }), tail.stream, tar)
    : pipeline(file, tail.stream, tar)
  read.catch(() => {}) // the loop below meets the same error
  let last: Entry | undefined
  let entries = 0
  try {
    for await (const entry of tar as AsyncIterable<Entry>) {
      await visit(entry, zipped)
      entry.resume()
      last = entry
      entries++
    }
    await read
  } catch (error) {
    if (error instanceof InputError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    fail(`${path}: not a whole ${zipped ? 'gzipped ' : ''}tar file (${reason})`)
  }
  if (last && !tail.endsIn(last))
    fail(
      `${path}: ends early, behind entry ${entries} (${last.header.name}): the blocks of zeros that close a tar file are missing`,
    )
}

/** The content of an entry as text. */
export async function entryText(entry: Entry): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of entry) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** Lets a stream through and keeps its last block. */
function tailOf() {
  let length = 0
  let tail: Uint8Array = new Uint8Array(0)
  const stream = new Transform({
    transform(chunk: Uint8Array, _, done) {
      length += chunk.length
      tail = chunk.length >= BLOCK ? chunk.subarray(-BLOCK) : Buffer.concat([tail, chunk]).subarray(-BLOCK)
      done(null, chunk)
    },
  })
  return {
    stream,
    /** Whether a block of zeros follows the last entry. */
    endsIn({ offset, header: { size = 0, type } }: Entry): boolean {
      const content = type === 'directory' ? 0 : Math.ceil(size / BLOCK) * BLOCK
      return length >= offset + BLOCK + content + BLOCK && tail.every((byte) => byte === 0)
    },
  }
}

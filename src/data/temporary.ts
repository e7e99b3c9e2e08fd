/** A file without a name (in `TMPDIR`), which vanishes with the process. */

import { randomBytes } from 'node:crypto'
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileError } from '../files.js'

/** Made when first needed; without a name from the start. */
export interface TemporaryFile {
  /** Writes the stream at the end; where it starts. */
  append(stream: AsyncIterable<Uint8Array>): Promise<number>
  descriptor(): number
  close(): void
}

export function temporaryFile(): TemporaryFile {
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

/** Pictures without labels as a data set: what a command was given by name. */

import { InputError } from '../errors.js'
import { isPictureUrl } from '../images/input.js'
import type { Dataset, Source } from './dataset.js'
import type { LeftOut } from './left-out.js'
import { type Found, STDIN, sourceNamed } from './pictures.js'
import { temporaryFile } from './temporary.js'

/** The label of a picture that has none. */
export const NO_LABEL = -1

/**
 * Opens pictures by the names of {@link Found}. What is no file of its own (a URL, standard input) is read now, into a
 * file without a name; where that fails it is left out.
 */
export async function openUnlabelled(name: string, found: Found): Promise<Dataset> {
  const kept = temporaryFile()
  const leftOut: LeftOut[] = [...found.leftOut]
  const pictures: { readonly name: string; readonly source: Source }[] = []
  for (const path of found.pictures) {
    if (path !== STDIN && !isPictureUrl(path)) {
      pictures.push({ name: path, source: { kind: 'file', path } })
      continue
    }
    try {
      const source = await sourceNamed(path)
      if (source.kind !== 'bytes') pictures.push({ name: path, source })
      else {
        const { bytes } = source
        const offset = await kept.append(once(bytes))
        const place = { kind: 'range', file: kept.descriptor(), offset, length: bytes.byteLength } as const
        pictures.push({ name: path, source: place })
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error
      const { message } = error
      leftOut.push({ path, reason: message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message })
    }
  }
  return {
    name,
    samples: pictures.map((picture) => ({ name: picture.name, label: NO_LABEL })),
    leftOut,
    source: (index) => (pictures[index] as (typeof pictures)[number]).source,
    close: async () => kept.close(),
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

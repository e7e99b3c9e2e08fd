/**
 * WebDataset shards: tar files, plain or gzipped, in which files with the same name up to the first dot are one sample,
 * `key.jpg` the picture and `key.cls` its class index (https://github.com/webdataset/webdataset, "The WebDataset Format").
 *
 * Names with further dots (`img.v2.jpg`) are other fields of the sample `img` by that rule. Where `img` has no picture and
 * no label of its own, a picture and a label that agree up to their last dot are a sample too; a warning says so.
 *
 * A shard is read through once when it is opened. Pictures of a plain tar stay where they are and are read by position;
 * a gzipped one allows no such access, so its pictures are unpacked to one temporary file (`temporary.ts`). Memory holds
 * names, labels and positions only.
 */

import { basename } from 'node:path'
import { fail } from '../errors.js'
import { pictureExtensions } from '../images/format.js'
import type { Dataset, DatasetOptions, Sample } from './dataset.js'
import { checkLabel } from './label.js'
import { countByReason, type LeftOut } from './left-out.js'
import { type Entry, entryText, readTar } from './tar.js'
import { type TemporaryFile, temporaryFile } from './temporary.js'
import { isMacResidue } from './walk.js'

interface Place {
  readonly file: string | number
  readonly offset: number
  readonly length: number
}

/** What is known of a sample so far. */
interface Parts {
  picture?: Place & { readonly name: string }
  label?: { readonly name: string; readonly text: string }
}

interface Shard {
  readonly samples: readonly { readonly name: string; readonly place: Place; readonly label: number }[]
  readonly leftOut: readonly LeftOut[]
  /** Pictures that were paired by their last dot. */
  readonly dotted: readonly string[]
}

const LONGEST_LABEL = 64

/**
 * Opens tar shards one after the other; samples stand in the order of the shards. Entries that are not used are in
 * `leftOut`; folders are no content.
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
  const leftOut: LeftOut[] = []
  const dotted: string[] = []
  const unpacked = temporaryFile()
  try {
    for (const shard of shards) {
      const read = await readShard(shard, classes, unpacked)
      for (const { name, place, label } of read.samples) {
        samples.push({ name: `${basename(shard)}/${name}`, label })
        places.push(place)
      }
      for (const item of read.leftOut) leftOut.push({ ...item, path: `${basename(shard)}/${item.path}` })
      for (const found of read.dotted) dotted.push(`${basename(shard)}/${found}`)
    }
    if (samples.length === 0) {
      const found = leftOut.length > 0 ? `, but ${countByReason(leftOut).join('; ')}` : ''
      fail(`${name}: holds no pictures (key.jpg, key.png, key.webp with key.cls)${found}`)
    }
  } catch (error) {
    unpacked.close()
    throw error
  }
  const [example] = dotted
  const paired = `${name}: ${dotted.length} pictures have names with further dots (${example}): paired up to the last one`
  return {
    name,
    samples,
    leftOut,
    warnings: dotted.length > 0 ? [paired] : [],
    source: (index) => ({
      kind: 'range',
      ...(places[index] ?? fail(`${name}: no picture ${index}, it has ${places.length}`)),
    }),
    close: async () => unpacked.close(),
  }
}

/** Reads a shard through and notes where its pictures are. */
async function readShard(shard: string, classes: number | undefined, unpacked: TemporaryFile): Promise<Shard> {
  const plain = new Map<string, Parts>() // by WebDataset's key
  const further = new Map<string, Parts>() // by the name up to its last dot, where that is not its first
  const leftOut: LeftOut[] = []

  await readTar(shard, async (entry, zipped) => {
    const { name, type, size = 0 } = entry.header
    if (type === 'directory') return
    const { key, stem, extension } = splitName(name)
    const isFurther = stem !== key
    const samples = isFurther ? further : plain
    const known: Parts = samples.get(stem) ?? {}
    const isLabel = extension === 'cls'
    // A further field may be anything.
    const unfit = isFurther && (isLabel ? known.label || size > LONGEST_LABEL : known.picture)
    const reason = reasonAgainst(name, type, extension) ?? (unfit ? furtherField(name) : undefined)
    if (reason !== undefined) {
      leftOut.push({ path: name, reason })
      return
    }
    samples.set(stem, known)
    if (isLabel) {
      if (known.label) fail(`${shard}: '${name}' is there twice`)
      if (size > LONGEST_LABEL) fail(`${shard}: '${name}' is no class index (${size} bytes)`)
      known.label = { name, text: (await entryText(entry)).trim() }
      return
    }
    if (known.picture) fail(`${shard}: '${stem}' has two pictures, ${known.picture.name} and ${name}`)
    const offset = zipped ? await unpacked.append(entry) : entry.offset + 512 // behind its header
    known.picture = { name, file: zipped ? unpacked.descriptor() : shard, offset, length: size }
  })

  const pairs: Required<Parts>[] = []
  const dotted: string[] = []
  for (const [stem, { picture, label }] of further) {
    if (picture && label && !plain.has(splitName(stem).key)) {
      pairs.push({ picture, label })
      dotted.push(picture.name)
    } else
      for (const part of [picture, label]) if (part) leftOut.push({ path: part.name, reason: furtherField(part.name) })
  }
  const unused = new Map(leftOut.map(({ path, reason }) => [splitName(path).key, `; ${path} is ${reason}`]))
  for (const [key, { picture, label }] of plain) {
    if (label) checkLabel(label.text, classes, `${shard}, ${label.name}`)
    if (!picture) fail(`${shard}: '${key}' has a label but no picture${unused.get(key) ?? ''}`)
    if (!label) fail(`${shard}: '${key}' has a picture but no label (${key}.cls)${unused.get(key) ?? ''}`)
    pairs.push({ picture, label })
  }
  const samples = pairs.map(({ picture: { name, ...place }, label }) => ({
    name,
    place,
    label: checkLabel(label.text, classes, `${shard}, ${label.name}`),
  }))
  return { samples, leftOut, dotted }
}

const furtherField = (name: string) => `a further field of its sample (${name.slice(splitName(name).key.length)})`

/** The name up to the first dot of its last part, up to the last dot, and what follows that in lower case. */
function splitName(name: string): { readonly key: string; readonly stem: string; readonly extension: string } {
  const start = name.lastIndexOf('/') + 1
  const [first, last] = [name.indexOf('.', start), name.lastIndexOf('.')]
  if (first < 0) return { key: name, stem: name, extension: '' }
  return { key: name.slice(0, first), stem: name.slice(0, last), extension: name.slice(last + 1).toLowerCase() }
}

/** Why an entry is not used. */
function reasonAgainst(name: string, type: Entry['header']['type'], extension: string): string | undefined {
  const parts = name.split('/')
  const file = parts.at(-1) ?? ''
  if (type === 'link' || type === 'symlink') return 'a link, which is not followed'
  if (type !== 'file' && type !== 'contiguous-file') return 'not a regular file'
  if (parts.some(isMacResidue) || file.startsWith('._')) return 'what macOS adds to archives'
  if (file.startsWith('.')) return 'hidden: its name starts with a dot'
  if (extension === 'cls' || pictureExtensions.has(extension)) return undefined
  return extension === '' ? 'a name without a field' : `field .${extension} is not used`
}

/**
 * CIFAR-10 binary batches: records of one label byte and 3,072 bytes of a 32×32 picture in red, green and blue planes
 * (https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version").
 */

import { basename } from 'node:path'
import { fail } from '../errors.js'
import { readAt, withFile } from '../files.js'
import type { Dataset, Sample } from './dataset.js'
import { checkLabel } from './label.js'

const SIDE = 32
const RECORD = 1 + 3 * SIDE * SIDE
const RECORDS_AT_ONCE = 1000

const classNames = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']

/**
 * Opens binary batches one after the other. Pixels stay in the files.
 *
 * @throws InputError when a file is not a whole number of records, or a label is not a class
 */
export async function openCifar(name: string, paths: readonly string[]): Promise<Dataset> {
  const samples: Sample[] = []
  const places: { file: string; offset: number }[] = []
  for (const path of paths) {
    for (const [record, label] of (await readLabels(path)).entries()) {
      checkLabel(String(label), classNames.length, `${path}, picture ${record}`)
      samples.push({ name: `${basename(path)}#${record}`, label })
      places.push({ file: path, offset: record * RECORD + 1 })
    }
  }
  return {
    name,
    samples,
    classNames,
    source(index) {
      const place = places[index] ?? fail(`${name}: no picture ${index}, it has ${places.length}`)
      return { kind: 'planes', ...place, width: SIDE, height: SIDE }
    },
    close: async () => {},
  }
}

function readLabels(path: string): Promise<number[]> {
  return withFile(path, async (file, size) => {
    if (size === 0 || size % RECORD !== 0) {
      const hint = size > 0 && size % (RECORD + 1) === 0 ? '; CIFAR-100, of two labels a record, is not read' : ''
      fail(`${path}: not a CIFAR-10 binary batch (records of ${RECORD} bytes, but the file has ${size}${hint})`)
    }
    const labels: number[] = []
    for (let at = 0; at < size; at += RECORDS_AT_ONCE * RECORD) {
      const records = await readAt(file, at, Math.min(RECORDS_AT_ONCE * RECORD, size - at))
      for (let r = 0; r < records.length; r += RECORD) labels.push(records[r] as number)
    }
    return labels
  })
}

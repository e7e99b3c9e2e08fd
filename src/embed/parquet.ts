/**
 * Features as a Parquet file, row group by row group: columns `path`, `label` and `class` where there are labels, and
 * `features`, a list of float (float16 with half), or a list of lists with all tokens (`prefix` beside it). Through
 * hyparquet-writer; lists in the three levels of Parquet's LogicalTypes.md.
 */

import { open, rename, rm } from 'node:fs/promises'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { fileError, pieces } from '../files.js'
import { decode } from '../weights/dtypes.js'
import type { Content, RowFile } from './content.js'

/** Values in memory at once: a row group holds as many rows as fit. */
const GROUP_VALUES = 2 ** 18

type Schema = ConstructorParameters<typeof ParquetWriter>[0]['schema']

/**
 * Writes the file under a temporary name beside the spool, then gives it its own.
 *
 * @throws InputError when it cannot be written
 */
export async function writeParquet(out: string, content: Content, spooled: (name: RowFile) => string): Promise<void> {
  const { shape, prefix, half, rows, paths, labels, classNames } = content
  const temporary = `${spooled('features')}.parquet`
  const sizeOf = (each: readonly number[]) => each.reduce((a, b) => a * b, 1)
  const values = sizeOf(shape) + sizeOf(prefix ?? [0])
  const group = Math.max(1, Math.min(10_000, Math.floor(GROUP_VALUES / values)))
  const bytes = half ? 2 : 4
  const features = pieces(spooled('features'), 0, group * sizeOf(shape) * bytes)
  const before = prefix && pieces(spooled('prefix'), 0, group * sizeOf(prefix) * bytes)
  const nested = async (from: AsyncGenerator<Uint8Array>, each: readonly number[]) => {
    const { value } = await from.next()
    return lists(decode(half ? 'F16' : 'F32', value as Uint8Array) as Float32Array, each)
  }
  const file = await open(temporary, 'w').catch((error) => {
    throw fileError(error, out)
  })
  try {
    const writer = new ByteWriter()
    const flush = async () => {
      await file.writeFile(writer.getBytes())
      writer.index = 0
    }
    const parquet = new ParquetWriter({
      writer: Object.assign(writer, { flush, finish: flush }),
      schema: schemaOf(content),
      codec: 'SNAPPY',
      kvMetadata: Object.entries(content.metadata).map(([key, value]) => ({ key, value })),
      createdBy: 'idlevit',
    })
    for (let row = 0; row < rows; row += group) {
      const end = Math.min(rows, row + group)
      const plain = { encoding: 'PLAIN', codec: 'UNCOMPRESSED', statistics: false, offsetIndex: false } as const
      const label = labels?.subarray(row, end)
      await parquet.write({
        rowGroupSize: group,
        columnData: [
          { name: 'path', data: paths.slice(row, end) as string[] },
          ...(label ? [{ name: 'label', data: label }] : []),
          ...(label && classNames ? [{ name: 'class', data: Array.from(label, (l) => classNames[l] ?? '') }] : []),
          { name: 'features', data: await nested(features, shape), ...plain },
          ...(before && prefix ? [{ name: 'prefix', data: await nested(before, prefix), ...plain }] : []),
        ],
      })
    }
    await parquet.finish()
    await file.sync()
    await file.close()
    await rename(temporary, out)
  } catch (error) {
    await file.close()
    await rm(temporary, { force: true })
    throw fileError(error, out)
  }
}

function schemaOf({ shape, prefix, half, labels, classNames }: Content): Schema {
  const leaf = half
    ? ({ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 2, logical_type: { type: 'FLOAT16' } } as const)
    : ({ type: 'FLOAT' } as const)
  /** A list of as many levels as there are dimensions. */
  const list = (name: string, levels: number): Schema =>
    levels === 0
      ? [{ name, repetition_type: 'REQUIRED', ...leaf }]
      : [
          { name, repetition_type: 'REQUIRED', num_children: 1, converted_type: 'LIST' },
          { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
          ...list('element', levels - 1),
        ]
  const columns: Schema[] = [
    [{ name: 'path', repetition_type: 'REQUIRED', type: 'BYTE_ARRAY', converted_type: 'UTF8' }],
    ...(labels ? [[{ name: 'label', repetition_type: 'REQUIRED', type: 'INT32' }] as Schema] : []),
    ...(labels && classNames
      ? [[{ name: 'class', repetition_type: 'REQUIRED', type: 'BYTE_ARRAY', converted_type: 'UTF8' }] as Schema]
      : []),
    list('features', shape.length),
    ...(prefix ? [list('prefix', prefix.length)] : []),
  ]
  return [{ name: 'root', num_children: columns.length }, ...columns.flat()]
}

type Lists = readonly (number | Lists)[]

/** Values as nested lists `[n, …each]`. */
function lists(values: Float32Array, each: readonly number[]): Lists[] {
  const [, ...inner] = each
  const size = each.reduce((a, b) => a * b, 1)
  return Array.from({ length: values.length / size }, (_, i) => {
    const part = values.subarray(i * size, (i + 1) * size)
    return inner.length === 0 ? Array.from(part) : lists(part, inner)
  })
}

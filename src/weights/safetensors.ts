/**
 * The safetensors format (github.com/huggingface/safetensors, "Format"): an 8-byte little-endian header length, a JSON
 * header with `dtype`, `shape` and `data_offsets` of every tensor, and the row-major little-endian values back to back.
 * Safe in browsers; tensors are views of the given bytes wherever the alignment allows.
 */
import { fail } from '../errors.js'
import { decode, dtypeBytes, dtypeOf, knownDtypes } from './dtypes.js'
import { elements, nameText, type StateDict, shapeText } from './state.js'

/** The format's own limit on the header. */
const maxHeader = 100_000_000
const prefix = 8

/** A safetensors file in memory. */
export interface Safetensors {
  readonly state: StateDict
  /** The free text of `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>
}

interface Entry {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/**
 * Parses a safetensors file.
 *
 * @param bytes - the whole file
 * @param source - what to call it in messages
 * @throws InputError when the header or a tensor breaks the format; nothing is allocated before that is known.
 */
export function parseSafetensors(bytes: Uint8Array, source = 'safetensors data'): Safetensors {
  const refuse = (why: string): never => fail(`${source}: not a valid safetensors file: ${why}`)
  if (bytes.byteLength < prefix) refuse(`${bytes.byteLength} bytes are too few for the header length`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerLength = view.getBigUint64(0, true)
  if (headerLength > maxHeader) refuse(`the header claims ${headerLength} bytes, the format allows ${maxHeader}`)
  const dataStart = prefix + Number(headerLength)
  if (dataStart > bytes.byteLength)
    refuse(`the header claims ${headerLength} bytes but the file has ${bytes.byteLength}: truncated?`)

  const header = parseHeader(bytes.subarray(prefix, dataStart), refuse)
  const { __metadata__: metadata = {}, ...tensors } = header
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === 'string'))
    refuse('__metadata__ must hold strings only')

  const data = bytes.subarray(dataStart)
  const entries = Object.entries(tensors).map(([name, value]) => parseEntry(name, value, refuse))
  checkLayout(entries, data.byteLength, refuse)
  const state: StateDict = new Map()
  for (const { name, dtype, shape, begin, end } of entries)
    state.set(name, { dtype, shape, data: decode(dtype, data.subarray(begin, end)) })
  return { state, metadata: metadata as Record<string, string> }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function parseHeader(bytes: Uint8Array, refuse: (why: string) => never): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return refuse('the header is not JSON')
  }
  return isRecord(header) ? header : refuse('the header is not a JSON object')
}

function parseEntry(name: string, value: unknown, refuse: (why: string) => never): Entry {
  if (!isRecord(value)) return refuse(`tensor ${nameText(name)} is not described by an object`)
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string') return refuse(`tensor ${nameText(name)} has no dtype`)
  const size =
    dtypeBytes(dtype) ??
    refuse(`tensor ${nameText(name)} has the unknown dtype ${nameText(dtype)}, known are ${knownDtypes}`)
  if (!Array.isArray(shape) || !shape.every(isSize)) return refuse(`tensor ${nameText(name)} has no valid shape`)
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    return refuse(`tensor ${nameText(name)} has no valid data_offsets`)
  const [begin, end] = offsets as [number, number]
  const expected = elements(shape) * size
  if (end - begin !== expected)
    return refuse(
      `tensor ${nameText(name)} ${dtype} ${shapeText(shape)} needs ${expected} bytes, its offsets span ${end - begin}`,
    )
  return { name, dtype, shape, begin, end }
}

/** The format wants the values back to back: no overlap, no hole, nothing after the last. */
function checkLayout(entries: readonly Entry[], length: number, refuse: (why: string) => never): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)
  let position = 0
  for (const { name, begin, end } of sorted) {
    if (begin !== position) refuse(`tensor ${nameText(name)} starts at byte ${begin}, expected ${position}`)
    position = end
  }
  if (position > length) refuse(`the tensors need ${position} bytes but the file holds ${length}: truncated?`)
  if (position < length) refuse(`${length - position} bytes after the last tensor`)
}

/** A tensor as a header lists it. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: number
}

/**
 * The bytes before the values of tensors that lie back to back in this order, padded with spaces to a multiple of 8.
 *
 * @param least - bytes that it takes at least: for who writes it when the values are there already
 */
export function safetensorsHeader(
  tensors: readonly TensorEntry[],
  metadata: Readonly<Record<string, string>> = {},
  least = 0,
): Uint8Array {
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : []
  let position = 0
  for (const { name, dtype, shape, bytes } of tensors) {
    if (name === '__metadata__') fail('a tensor cannot be named __metadata__')
    header.push([name, { dtype, shape, data_offsets: [position, position + bytes] }])
    position += bytes
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)))
  const headerLength = Math.ceil(Math.max(json.byteLength, least - prefix) / 8) * 8
  const head = new Uint8Array(prefix + headerLength).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(headerLength), true)
  head.set(json, prefix)
  return head
}

/**
 * A state dict as the chunks of a safetensors file: floats as F32, or as F16 where a tensor's dtype says that its
 * words are; integers in their own width.
 *
 * Wider types come first and the header is padded to 8 bytes, so that every reader can map the values in place.
 */
export function writeSafetensors(state: StateDict, metadata: Readonly<Record<string, string>> = {}): Uint8Array[] {
  const tensors = [...state].sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT)
  const entries = tensors.map(([name, { dtype, shape, data }]): TensorEntry => {
    if (elements(shape) !== data.length)
      fail(`tensor ${name}: ${data.length} values do not fill the shape ${shapeText(shape)}`)
    return { name, dtype: dtypeOf(data, dtype), shape, bytes: data.byteLength }
  })
  const head = safetensorsHeader(entries, metadata)
  return [head, ...tensors.map(([, { data }]) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))]
}

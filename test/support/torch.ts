/** Builds small torch checkpoints byte by byte, right and wrong ones, for tests. */
import { deflateRawSync } from 'node:zlib'

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const u16 = (value: number): Buffer => u32(value).subarray(0, 2)

/** A zip archive (APPNOTE.TXT); `claimed` overstates the unpacked size of every entry. */
export function zip(
  entries: Readonly<Record<string, Uint8Array>>,
  options: { readonly deflate?: boolean; readonly claimed?: number } = {},
): Buffer {
  const local: Buffer[] = []
  const central: Buffer[] = []
  let position = 0
  for (const [name, content] of Object.entries(entries)) {
    const data = options.deflate ? deflateRawSync(content) : Buffer.from(content)
    const fields = Buffer.concat([
      u16(20),
      u16(0),
      u16(options.deflate ? 8 : 0),
      u32(0),
      u32(0),
      u32(data.length),
      u32(options.claimed ?? content.length),
      u16(name.length),
      u16(0),
    ])
    const header = Buffer.concat([latin1('PK\x03\x04'), fields, latin1(name)])
    central.push(Buffer.concat([latin1('PK\x01\x02'), u16(20), fields, Buffer.alloc(10), u32(position), latin1(name)]))
    local.push(header, data)
    position += header.length + data.length
  }
  const directory = Buffer.concat(central)
  const count = u16(central.length)
  const end = [latin1('PK\x05\x06'), u32(0), count, count, u32(directory.length), u32(position), u16(0)]
  return Buffer.concat([...local, directory, ...end])
}

/** Pieces of a pickle of protocol 2. */
export const pickle = {
  text: (value: string): Buffer => Buffer.concat([latin1('X'), u32(Buffer.byteLength(value)), Buffer.from(value)]),
  integer: (value: number): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    return Buffer.concat([Buffer.from([0x8a, 8]), bytes])
  },
  global: (module: string, name: string): Buffer => latin1(`c${module}\n${name}\n`),
  tuple: (...items: Uint8Array[]): Buffer => Buffer.concat([latin1('('), ...items, latin1('t')]),
  dict: (entries: Readonly<Record<string, Uint8Array>>): Buffer =>
    Buffer.concat([
      latin1('}('),
      ...Object.entries(entries).flatMap(([key, value]) => [pickle.text(key), value]),
      latin1('u'),
    ]),
  call: (callee: Uint8Array, ...args: Uint8Array[]): Buffer =>
    Buffer.concat([callee, pickle.tuple(...args), latin1('R')]),
  file: (value: Uint8Array): Buffer => Buffer.concat([Buffer.from([0x80, 2]), value, latin1('.')]),
}

/** A tensor as torch.save describes it; the sizes may lie. */
export function pickledTensor(tensor: {
  readonly key?: string
  readonly type?: string
  readonly size: number
  readonly offset?: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  /** Legacy files have one entry more in the storage's tuple. */
  readonly legacy?: boolean
}): Buffer {
  const { text, integer, global, tuple, call } = pickle
  const storage = tuple(
    text('storage'),
    global('torch', tensor.type ?? 'FloatStorage'),
    text(tensor.key ?? '0'),
    text('cpu'),
    integer(tensor.size),
    ...(tensor.legacy ? [latin1('N')] : []),
  )
  return call(
    global('torch._utils', '_rebuild_tensor_v2'),
    Buffer.concat([storage, latin1('Q')]),
    integer(tensor.offset ?? 0),
    tuple(...tensor.shape.map(integer)),
    tuple(...tensor.strides.map(integer)),
    latin1('\x89'),
    call(global('collections', 'OrderedDict')),
  )
}

/** The legacy file of torch.save: five pickles, then the storages, each behind its number of elements. */
export function legacy(root: Uint8Array, storages: Readonly<Record<string, Float32Array>>): Buffer {
  const { file, dict, integer, text } = pickle
  const keys = Buffer.concat([latin1(']('), ...Object.keys(storages).map(text), latin1('e')])
  const data = Object.values(storages).flatMap((values) => {
    const count = Buffer.alloc(8)
    count.writeBigInt64LE(BigInt(values.length))
    return [count, Buffer.from(values.buffer, values.byteOffset, values.byteLength)]
  })
  return Buffer.concat([
    Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'), // 0x1950a86a20f9469cfc6c
    file(integer(1001)),
    file(dict({ protocol_version: integer(1001), little_endian: latin1('\x88') })),
    file(root),
    file(keys),
    ...data,
  ])
}

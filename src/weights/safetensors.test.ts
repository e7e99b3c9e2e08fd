import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InputError } from '../errors.js'
import { decode } from './dtypes.js'
import { parseSafetensors, writeSafetensors } from './safetensors.js'
import { halved, type StateDict } from './state.js'

/** A file with the given header text and data bytes. */
function file(header: unknown, data: Uint8Array | readonly number[] = [], pad = 0): Uint8Array {
  const json = (typeof header === 'string' ? header : JSON.stringify(header)) + ' '.repeat(pad)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return new Uint8Array(Buffer.concat([length, Buffer.from(json), Uint8Array.from(data)]))
}

const one = (dtype: string, shape: readonly number[], bytes: readonly number[], pad = 0) =>
  parseSafetensors(file({ t: { dtype, shape, data_offsets: [0, bytes.length] } }, bytes, pad)).state.get('t')

test('every number format gives the numbers its standard says', () => {
  // binary16: 1, -2, 65504 (largest), 2^-24 (smallest), 0.333251953125, -infinity
  const half = one('F16', [6], [0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00, 0x55, 0x35, 0x00, 0xfc])
  assert.deepEqual(half?.data, Float32Array.of(1, -2, 65504, 2 ** -24, 0.333251953125, -Infinity))
  assert.ok(Number.isNaN(one('F16', [1], [0x01, 0x7e])?.data[0]))
  // bfloat16: 1, -3.140625, 2^-133 (subnormal)
  assert.deepEqual(
    one('BF16', [3], [0x80, 0x3f, 0x49, 0xc0, 0x01, 0x00])?.data,
    Float32Array.of(1, -3.140625, 2 ** -133),
  )
  // binary64 of 0.1 rounds to the nearest float32
  assert.deepEqual(
    one('F64', [1], [0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f])?.data,
    Float32Array.of(0.10000000149011612),
  )
  assert.deepEqual(one('I64', [1], [0xfe, 255, 255, 255, 255, 255, 255, 255])?.data, BigInt64Array.of(-2n))
  assert.deepEqual(one('I16', [], [0xfe, 0xff])?.data, Int16Array.of(-2))
  assert.deepEqual(one('BOOL', [2], [1, 0])?.data, Uint8Array.of(1, 0))
  assert.equal(one('BOOL', [2], [1, 0])?.dtype, 'BOOL')
})

test('values are views of the file where they lie aligned, copies elsewhere', () => {
  const aligned = [0, 1, 2, 3].map((pad) => one('F32', [1], [0, 0, 0x80, 0x3f], pad))
  for (const tensor of aligned) assert.deepEqual(tensor?.data, Float32Array.of(1))
  // Node reads files into Buffers, whose slice() copies nothing.
  const seven = Buffer.from([7, 0, 0, 0, 0, 0, 0, 0])
  for (const start of [0, 4])
    assert.deepEqual(decode('I64', Buffer.from(new ArrayBuffer(16), start, 8).fill(seven)), BigInt64Array.of(7n))
  const bytes = file({ t: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, [0, 0, 0x80, 0x3f])
  const padded = new Uint8Array([...file({}, []), ...bytes]).subarray(10)
  assert.deepEqual(parseSafetensors(padded).state.get('t')?.data, Float32Array.of(1))
  const buffer = Buffer.alloc(padded.length + 1).subarray(1) // whose own slice() copies nothing
  buffer.set(padded)
  assert.deepEqual(parseSafetensors(buffer).state.get('t')?.data, Float32Array.of(1))
  const [head, values] = writeSafetensors(new Map([['t', { dtype: 'F32', shape: [1], data: Float32Array.of(1) }]]))
  const whole = new Uint8Array(Buffer.concat([head ?? Buffer.alloc(0), values ?? Buffer.alloc(0)]))
  assert.equal(parseSafetensors(whole).state.get('t')?.data.buffer, whole.buffer)
})

test('what is written is read back, with metadata', () => {
  const tensor = fc.oneof(
    fc.float32Array({ maxLength: 9 }).map((data) => ({ dtype: 'F32', shape: [data.length], data })),
    fc.uint8Array({ maxLength: 9 }).map((data) => ({ dtype: 'BOOL', shape: [1, data.length], data })),
    fc.bigInt64Array({ maxLength: 9 }).map((data) => ({ dtype: 'I64', shape: [data.length, 1], data })),
    fc.int16Array({ minLength: 1, maxLength: 1 }).map((data) => ({ dtype: 'I16', shape: [], data })),
  )
  const names = fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__')
  fc.assert(
    fc.property(fc.array(fc.tuple(names, tensor)), fc.dictionary(fc.string(), fc.string()), (tensors, metadata) => {
      const state: StateDict = new Map(tensors)
      const read = parseSafetensors(new Uint8Array(Buffer.concat(writeSafetensors(state, metadata))))
      assert.deepEqual(Object.entries(read.metadata).sort(), Object.entries(metadata).sort())
      assert.deepEqual(new Map([...read.state].sort()), new Map([...state].sort()))
    }),
  )
})

test('values of a Buffer that begin between two places for them are read', () => {
  const bytes = Buffer.concat([
    Buffer.from([0]),
    ...writeSafetensors(new Map([['i', { dtype: 'I64', shape: [1], data: BigInt64Array.of(7n) }]])),
  ])
  const inside = Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.byteLength - 1)
  assert.deepEqual(parseSafetensors(inside).state.get('i')?.data, BigInt64Array.of(7n))
})

test('halved floats are read back as the nearest float16', () => {
  const data = Float32Array.of(1, 1 / 3, -65504, 2 ** -24)
  const whole = { dtype: 'I64', shape: [1], data: BigInt64Array.of(7n) }
  const tensors: StateDict = new Map()
  const state = halved(tensors.set('t', { dtype: 'F32', shape: [2, 2], data }).set('i', whole))
  const read = parseSafetensors(new Uint8Array(Buffer.concat(writeSafetensors(state)))).state
  const t = read.get('t')
  assert.deepEqual([t?.dtype, t?.shape], ['F16', [2, 2]])
  assert.deepEqual(t?.data, Float32Array.of(1, 0.333251953125, -65504, 2 ** -24))
  assert.deepEqual(read.get('i'), whole)
})

test('a file that breaks the format is refused with the reason', () => {
  const f32 = (shape: readonly number[], begin: number, end: number, dtype = 'F32') => ({
    dtype,
    shape,
    data_offsets: [begin, end],
  })
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [new Uint8Array(7), /7 bytes are too few/],
    [file({}).subarray(0, 9), /claims 2 bytes but the file has 9: truncated/],
    [Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255), /claims 18446744073709551615 bytes/],
    [Uint8Array.of(1, 225, 245, 5, 0, 0, 0, 0), /claims 100000001 bytes, the format allows 100000000/],
    [file('{nonsense'), /not JSON/],
    [file('[]'), /not a JSON object/],
    [file('{"__metadata__": {"a": 1}}'), /__metadata__ must hold strings only/],
    [file('{"t": 1}'), /tensor t is not described by an object/],
    [file({ t: f32([1], 0, 4, 'F7') }, [0, 0, 0, 0]), /tensor t has the unknown dtype F7/],
    [file({ t: f32([1], 0, 4, 'toString') }, [0, 0, 0, 0]), /unknown dtype toString/],
    [file({ t: f32([-1], 0, 4) }, [0, 0, 0, 0]), /no valid shape/],
    [file({ t: f32([1.5], 0, 4) }, [0, 0, 0, 0]), /no valid shape/],
    [file({ t: f32([2], 0, 4) }, [0, 0, 0, 0]), /tensor t F32 \[2\] needs 8 bytes, its offsets span 4/],
    [file({ t: f32([2 ** 50, 2 ** 50], 0, 4) }, [0, 0, 0, 0]), /needs .* bytes, its offsets span 4/],
    [file({ t: f32([1], 0, 4) }, [0, 0, 0]), /need 4 bytes but the file holds 3: truncated/],
    [file({ t: f32([2 ** 30], 0, 2 ** 32) }, [0]), /need 4294967296 bytes but the file holds 1/],
    [file({ t: f32([1], 4, 8) }, new Uint8Array(8)), /starts at byte 4, expected 0/],
    [file({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, new Uint8Array(8)), /tensor b starts at byte 4, expected 8/],
    [file({ t: f32([1], 0, 4) }, new Uint8Array(5)), /1 bytes after the last tensor/],
    [file({ t: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }, []), /needs 4 bytes, its offsets span -4/],
  ]
  for (const [bytes, reason] of cases)
    assert.throws(
      () => parseSafetensors(bytes, 'x.safetensors'),
      (error) => {
        assert.ok(error instanceof InputError)
        assert.match(error.message, /^x\.safetensors: not a valid safetensors file: /)
        assert.match(error.message, reason)
        return true
      },
    )
})

test('a state dict whose values do not fill their shape is not written', () => {
  const tensor = { dtype: 'F32', shape: [2], data: Float32Array.of(1) }
  assert.throws(() => writeSafetensors(new Map([['t', tensor]])), /tensor t: 1 values do not fill the shape \[2\]/)
})

/**
 * A restricted reader of Python pickles (Python's Lib/pickletools.py lists the opcodes), protocols 0 to 5.
 *
 * A pickle is a program for a stack machine that may name and call any Python function. This machine only moves plain
 * data: names and calls go to the allow-list in torch-objects.ts, which refuses all it does not know. Time and memory
 * are bounded by {@link maxOperations} and the bytes given.
 */
import { fail } from '../errors.js'
import { build, call, global, type PickleValue, persistentStorage, type TorchStorage } from './torch-objects.js'

/** Far above any checkpoint (a thousand tensors take some 25,000), low enough to stay within memory. */
const maxOperations = 2_000_000

/** What an opcode works on. */
interface Machine {
  readonly read: Reader
  stack: PickleValue[]
  /** The stacks below the open marks. */
  readonly below: PickleValue[][]
  readonly memo: Map<number, PickleValue>
  readonly storages: TorchStorage[]
}

/** One pickle: its value, where it ends, and every storage it mentions. */
export interface Unpickled {
  readonly value: PickleValue
  readonly end: number
  readonly storages: readonly TorchStorage[]
}

/**
 * Reads one pickle.
 *
 * @param bytes - what holds the pickle; more may follow it
 * @throws InputError for a name outside the allow-list, an unknown opcode, or a broken or truncated pickle.
 */
export function unpickle(bytes: Uint8Array, start = 0): Unpickled {
  const read = reader(bytes, start)
  const machine: Machine = { read, stack: [], below: [], memo: new Map(), storages: [] }
  for (let count = 0; count < maxOperations; count++) {
    const opcode = read.u8()
    if (opcode === stop) return { value: pop(machine), end: read.position(), storages: machine.storages }
    const operation = operations.get(opcode) ?? fail(`unknown pickle opcode 0x${opcode.toString(16)}: damaged?`)
    operation(machine)
  }
  return fail(`the pickle has more than ${maxOperations} operations`)
}

type Reader = ReturnType<typeof reader>

const utf8 = new TextDecoder()
const latin1 = new TextDecoder('latin1')

function reader(bytes: Uint8Array, start: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = start
  const take = (count: number): number => {
    if (count > bytes.byteLength - at) fail('the pickle ends too early: truncated?')
    at += count
    return at - count
  }
  const slice = (count: number): Uint8Array => bytes.subarray(take(count), at)
  return {
    position: () => at,
    slice,
    u8: () => view.getUint8(take(1)),
    u16: () => view.getUint16(take(2), true),
    u32: () => view.getUint32(take(4), true),
    i32: () => view.getInt32(take(4), true),
    u64: () => Number(view.getBigUint64(take(8), true)),
    f64: () => view.getFloat64(take(8), false),
    text: (count: number) => utf8.decode(slice(count)),
    bytesText: (count: number) => latin1.decode(slice(count)),
    line(): string {
      const end = bytes.indexOf(10, at)
      if (end < 0) fail('the pickle ends too early: truncated?')
      const line = utf8.decode(bytes.subarray(at, end))
      at = end + 1
      return line
    },
  }
}

function pop({ stack }: Machine): PickleValue {
  if (stack.length === 0) fail('broken pickle: the stack is empty')
  return stack.pop() as PickleValue
}

function top({ stack }: Machine): PickleValue {
  if (stack.length === 0) fail('broken pickle: the stack is empty')
  return stack.at(-1) as PickleValue
}

/** The items above the last mark. */
function popMark(machine: Machine): PickleValue[] {
  const items = machine.stack
  machine.stack = machine.below.pop() ?? fail('broken pickle: there is no mark')
  return items
}

function recall({ memo }: Machine, index: number): PickleValue {
  if (!memo.has(index)) fail(`broken pickle: nothing was stored as ${index}`)
  return memo.get(index) as PickleValue
}

function setItems(machine: Machine, items: readonly PickleValue[]): void {
  const target = top(machine)
  if (!(target instanceof Map) || items.length % 2 !== 0) fail('broken pickle: items for something that is no dict')
  for (let i = 0; i < items.length; i += 2) target.set(items[i] as PickleValue, items[i + 1] as PickleValue)
}

function append(machine: Machine, items: readonly PickleValue[]): void {
  const target = top(machine)
  if (!Array.isArray(target)) fail('broken pickle: items for something that is no list')
  for (const item of items) target.push(item)
}

function addItems(machine: Machine, items: readonly PickleValue[]): void {
  const target = top(machine)
  if (!(target instanceof Set)) fail('broken pickle: items for something that is no set')
  for (const item of items) target.add(item)
}

function dict(items: readonly PickleValue[]): PickleValue {
  const entries = new Map<PickleValue, PickleValue>()
  for (let i = 0; i + 1 < items.length; i += 2) entries.set(items[i] as PickleValue, items[i + 1] as PickleValue)
  return entries
}

const integer = (value: bigint): number | bigint =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value

/** A little-endian two's complement integer of `count` bytes. */
function long(read: Reader, count: number): number | bigint {
  if (count > 256) fail(`an integer of ${count} bytes`)
  let value = 0n
  for (const byte of read.slice(count).toReversed()) value = (value << 8n) | BigInt(byte)
  return integer(count === 0 ? 0n : BigInt.asIntN(8 * count, value))
}

/** Decimal integers of protocol 0: `I12`, `I01` for True, `L12L`. */
function decimal(line: string): number | bigint | boolean {
  if (line === '00' || line === '01') return line === '01'
  if (!/^[+-]?\d{1,300}L?$/.test(line)) fail('broken pickle: not an integer')
  return integer(BigInt(line.replace(/^\+|L$/g, '')))
}

const unescapeText = (line: string): string =>
  line.replace(/\\u([0-9a-f]{4})|\\U([0-9a-f]{8})/gi, (_, short, long) => {
    const code = Number.parseInt(short ?? long, 16)
    return code <= 0x10ffff ? String.fromCodePoint(code) : fail('broken pickle: not a character')
  })

/** `module.name` from the two strings on the stack. */
function stackGlobal(machine: Machine): PickleValue {
  const name = pop(machine)
  const module = pop(machine)
  if (typeof module !== 'string' || typeof name !== 'string') return fail('broken pickle: a name that is no string')
  return global(module, name)
}

/** REDUCE and NEWOBJ: the callee lies below its arguments. */
function reduce(machine: Machine): PickleValue {
  const args = pop(machine)
  return call(pop(machine), args)
}

function storage(machine: Machine): PickleValue {
  const found = persistentStorage(pop(machine))
  machine.storages.push(found)
  return found
}

function newObjectEx(machine: Machine): PickleValue {
  pop(machine) // keyword arguments: no allowed class needs them
  return reduce(machine)
}

type Operation = (machine: Machine) => void

/** An opcode that pushes one value. */
const pushing =
  (make: (read: Reader, machine: Machine) => PickleValue): Operation =>
  (machine) => {
    const value = make(machine.read, machine)
    machine.stack.push(value)
  }

const store =
  (index: (machine: Machine) => number): Operation =>
  (machine) =>
    void machine.memo.set(index(machine), top(machine))

const code = (character: string): number => character.charCodeAt(0)
const stop = code('.')

const operations = new Map<number, Operation>([
  [0x80, ({ read }) => void read.u8()], // PROTO
  [0x95, ({ read }) => void read.u64()], // FRAME
  // Constants
  [code('N'), pushing(() => null)],
  [0x88, pushing(() => true)],
  [0x89, pushing(() => false)],
  [code('K'), pushing((read) => read.u8())],
  [code('M'), pushing((read) => read.u16())],
  [code('J'), pushing((read) => read.i32())],
  [code('I'), pushing((read) => decimal(read.line()))],
  [code('L'), pushing((read) => decimal(read.line()))],
  [0x8a, pushing((read) => long(read, read.u8()))],
  [0x8b, pushing((read) => long(read, read.u32()))],
  [code('G'), pushing((read) => read.f64())],
  [code('F'), pushing((read) => Number(read.line()))],
  [code('X'), pushing((read) => read.text(read.u32()))],
  [0x8c, pushing((read) => read.text(read.u8()))],
  [0x8d, pushing((read) => read.text(read.u64()))],
  [code('V'), pushing((read) => unescapeText(read.line()))],
  [code('S'), pushing((read) => read.line().slice(1, -1))],
  [code('U'), pushing((read) => read.bytesText(read.u8()))],
  [code('T'), pushing((read) => read.bytesText(read.u32()))],
  [code('C'), pushing((read) => read.slice(read.u8()))],
  [code('B'), pushing((read) => read.slice(read.u32()))],
  [0x8e, pushing((read) => read.slice(read.u64()))],
  [0x96, pushing((read) => read.slice(read.u64()))],
  // Containers
  [code('}'), pushing(() => new Map())],
  [code(']'), pushing(() => [])],
  [code(')'), pushing(() => [])],
  [0x8f, pushing(() => new Set())],
  [code('d'), pushing((_, machine) => dict(popMark(machine)))],
  [code('l'), pushing((_, machine) => popMark(machine))],
  [code('t'), pushing((_, machine) => popMark(machine))],
  [0x91, pushing((_, machine) => new Set(popMark(machine)))],
  [0x85, pushing((_, machine) => [pop(machine)])],
  [0x86, pushing((_, machine) => [pop(machine), pop(machine)].reverse())],
  [0x87, pushing((_, machine) => [pop(machine), pop(machine), pop(machine)].reverse())],
  [code('a'), (machine) => append(machine, [pop(machine)])],
  [code('e'), (machine) => append(machine, popMark(machine))],
  [code('s'), (machine) => setItems(machine, [pop(machine), pop(machine)].reverse())],
  [code('u'), (machine) => setItems(machine, popMark(machine))],
  [0x90, (machine) => addItems(machine, popMark(machine))],
  // Stack and memo
  [
    code('('),
    (machine) => {
      machine.below.push(machine.stack)
      machine.stack = []
    },
  ],
  [code('0'), (machine) => void pop(machine)],
  [code('1'), (machine) => void popMark(machine)],
  [code('2'), (machine) => void machine.stack.push(top(machine))],
  [code('g'), pushing((read, machine) => recall(machine, Number(read.line())))],
  [code('h'), pushing((read, machine) => recall(machine, read.u8()))],
  [code('j'), pushing((read, machine) => recall(machine, read.u32()))],
  [code('p'), store(({ read }) => Number(read.line()))],
  [code('q'), store(({ read }) => read.u8())],
  [code('r'), store(({ read }) => read.u32())],
  [0x94, store(({ memo }) => memo.size)],
  // Names and objects: all of them pass the allow-list
  [code('c'), pushing((read) => global(read.line(), read.line()))],
  [0x93, pushing((_, machine) => stackGlobal(machine))],
  [code('R'), pushing((_, machine) => reduce(machine))],
  [0x81, pushing((_, machine) => reduce(machine))],
  [0x92, pushing((_, machine) => newObjectEx(machine))],
  [code('i'), pushing((read, machine) => call(global(read.line(), read.line()), popMark(machine)))],
  [
    code('b'),
    (machine) => {
      const state = pop(machine)
      build(top(machine), state)
    },
  ],
  [code('Q'), pushing((_, machine) => storage(machine))],
])

/**
 * Checkpoints of torch.save (torch/serialization.py): the zip format of torch 1.6 and later, and the legacy format before.
 *
 * Both are a pickle that describes tensors as strided looks at numbered storages, and the storages' raw bytes. Only the
 * storages of the tensors asked for are read, and never more memory is taken than the file's own size warrants.
 */
import type { FileHandle } from 'node:fs/promises'
import yauzl from 'yauzl'
import { fail, InputError } from '../errors.js'
import { readAt, withFile } from '../files.js'
import { decode, dtypeBytes } from './dtypes.js'
import { elements, nameText, type StateDict, shapeText, type WeightData } from './state.js'
import { isZip } from './torch-format.js'
import type { PickleValue, TorchStorage, TorchTensor } from './torch-objects.js'
import { unpickle } from './unpickle.js'

/** An open checkpoint: what was pickled, and a way to its numbers. */
export interface TorchCheckpoint {
  readonly root: PickleValue
  /** Reads tensors; those of one storage share memory where they are contiguous. */
  load(tensors: ReadonlyMap<string, TorchTensor>): Promise<StateDict>
}

/** Reads the bytes of a storage. */
type ReadStorage = (storage: TorchStorage) => Promise<Uint8Array>

const maxPickle = 64 * 2 ** 20
/** torch.save's magic number, an integer of ten bytes. */
const legacyMagic = 0x1950a86a20f9469cfc6cn

/**
 * Opens a `.pth`, `.pt` or `.bin` file for the time of `use`.
 *
 * @throws InputError, naming the file, when it is damaged, or its pickle asks for anything but plain data and tensors.
 */
export function withTorchCheckpoint<Result>(
  path: string,
  use: (checkpoint: TorchCheckpoint) => Promise<Result>,
): Promise<Result> {
  return withFile(path, async (file, size) => {
    try {
      const allowance = createAllowance(size)
      const head = await readAt(file, 0, 4)
      const open = isZip(head) ? openZip : openLegacy
      const { root, read } = await open(file, size, allowance)
      return await use({ root, load: (tensors) => loadTensors(tensors, read, allowance) })
    } catch (error) {
      throw error instanceof InputError ? new InputError(`${path}: ${error.message}`) : error
    }
  })
}

/** Counts the memory taken; entries that overlap, zip bombs and zero strides would take many times the file's size. */
type Allowance = (bytes: number) => void

function createAllowance(fileSize: number): Allowance {
  let left = 2 ** 24 + 8 * fileSize
  return (bytes) => {
    left -= bytes
    if (!(left >= 0)) fail(`its tensors would unpack to far more than the ${fileSize} bytes of the file`)
  }
}

const storageBytes = (storage: TorchStorage): number => storage.size * (dtypeBytes(storage.dtype) as number)

async function openZip(file: FileHandle, size: number, allowance: Allowance) {
  const zip = await unzipping(yauzl.fromFdPromise(file.fd, { autoClose: false, lazyEntries: true }))
  const entries = new Map<string, yauzl.Entry>()
  const collect = async () => {
    for await (const entry of zip.eachEntry()) entries.set(entry.fileName, entry)
  }
  await unzipping(collect())

  const contents = async (entry: yauzl.Entry): Promise<Uint8Array> => {
    if (entry.compressionMethod === 0 && !entry.isEncrypted()) {
      const { fileDataStart } = await unzipping(zip.readLocalFileHeaderPromise(entry, { minimal: true }))
      if (fileDataStart + entry.uncompressedSize > size) fail('damaged zip archive: an entry reaches past the end')
      return readAt(file, fileDataStart, entry.uncompressedSize)
    }
    return unzipping(inflate(zip, entry))
  }

  const pickle = [...entries.keys()].find((name) => /^([^/]+\/)?data\.pkl$/.test(name))
  const pickleEntry = entries.get(pickle ?? '') ?? fail('a zip archive without data.pkl is no torch checkpoint')
  if (pickleEntry.uncompressedSize > maxPickle) fail(`data.pkl claims ${pickleEntry.uncompressedSize} bytes`)
  allowance(pickleEntry.uncompressedSize)
  const folder = pickleEntry.fileName.slice(0, -'data.pkl'.length)
  const byteOrder = entries.get(`${folder}byteorder`)
  if (byteOrder && byteOrder.uncompressedSize < 16 && new TextDecoder().decode(await contents(byteOrder)) === 'big')
    fail('big-endian checkpoints are not supported')

  const read: ReadStorage = async (storage) => {
    const entry = entries.get(`${folder}data/${storage.key}`) ?? fail(`storage ${nameText(storage.key)} is missing`)
    const expected = storageBytes(storage)
    if (entry.uncompressedSize !== expected)
      fail(`storage ${nameText(storage.key)} holds ${entry.uncompressedSize} bytes, ${expected} were expected`)
    return contents(entry)
  }
  return { root: unpickle(await contents(pickleEntry)).value, read }
}

/** What goes wrong inside the zip reader is the file's fault. */
async function unzipping<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    throw new InputError(`damaged zip archive: ${error instanceof Error ? error.message : error}`)
  }
}

async function inflate(zip: yauzl.ZipFile, entry: yauzl.Entry): Promise<Uint8Array> {
  const bytes = new Uint8Array(entry.uncompressedSize)
  let position = 0
  for await (const chunk of await zip.openReadStreamPromise(entry)) {
    bytes.set(chunk, position) // yauzl ends the stream with an error when it grows past uncompressedSize
    position += chunk.length
  }
  return bytes
}

/** Legacy: five pickles (magic number, protocol, system, value, storage keys), then for each key its count and bytes. */
async function openLegacy(file: FileHandle, size: number) {
  const head = await readAt(file, 0, Math.min(size, maxPickle))
  const magic = unpickle(head)
  if (magic.value !== legacyMagic) fail('a pickle that torch.save did not write')
  const protocol = unpickle(head, magic.end)
  if (protocol.value !== 1001) fail(`the legacy protocol version ${String(protocol.value)} is not 1001`)
  const system = unpickle(head, protocol.end)
  if (!(system.value instanceof Map) || system.value.get('little_endian') !== true)
    fail('big-endian checkpoints are not supported')
  const root = unpickle(head, system.end)
  const keys = unpickle(head, root.end)
  if (!Array.isArray(keys.value)) return fail('the list of storages is missing')

  const storages = new Map(root.storages.map((storage) => [storage.key, storage]))
  const positions = new Map<string, number>()
  let position = keys.end
  for (const key of keys.value) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined
    if (!storage || positions.has(storage.key)) return fail(`storage ${nameText(String(key))} belongs to no tensor`)
    const count = await readAt(file, position, 8)
    if (count.byteLength < 8) fail('the file ends before its storages: truncated?')
    const stored = new DataView(count.buffer).getBigInt64(0, true)
    if (stored !== BigInt(storage.size))
      fail(`storage ${nameText(storage.key)} holds ${stored} numbers, ${storage.size} expected`)
    positions.set(storage.key, position + 8)
    position += 8 + storageBytes(storage)
    if (position > size) fail('the file ends before its storages: truncated?')
  }

  const read: ReadStorage = async (storage) => {
    const start = positions.get(storage.key) ?? fail(`storage ${nameText(storage.key)} is missing`)
    const length = storageBytes(storage)
    if (start + length > size) fail(`storage ${nameText(storage.key)} reaches past the end of the file`)
    return readAt(file, start, length)
  }
  return { root: root.value, read }
}

async function loadTensors(
  tensors: ReadonlyMap<string, TorchTensor>,
  read: ReadStorage,
  allowance: Allowance,
): Promise<StateDict> {
  const storages = new Map<string, WeightData>()
  const state: StateDict = new Map()
  for (const [name, tensor] of tensors) {
    const { storage, shape } = tensor
    checkInside(name, tensor)
    if (elements(shape) === 0) {
      state.set(name, { dtype: storage.dtype, shape, data: decode(storage.dtype, new Uint8Array(0)) })
      continue
    }
    const id = `${storage.dtype} ${storage.key}`
    let data = storages.get(id)
    if (!data) {
      allowance(storageBytes(storage))
      data = decode(storage.dtype, await read(storage))
      storages.set(id, data)
    }
    state.set(name, { dtype: storage.dtype, shape, data: look(data, tensor, allowance) })
  }
  return state
}

/** The first and last number of a tensor must lie in its storage. */
function checkInside(name: string, { storage, offset, shape, strides }: TorchTensor): void {
  if (elements(shape) === 0) return
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] as number), offset)
  if (!(last < storage.length))
    fail(`tensor ${nameText(name)} ${shapeText(shape)} reaches past the ${storage.length} numbers of its storage`)
}

/** A tensor's numbers in row-major order: a view when they lie so, else a copy. */
function look(data: WeightData, { storage, offset, shape, strides }: TorchTensor, allowance: Allowance): WeightData {
  const start = storage.start + offset
  const count = elements(shape)
  let step = 1
  const contiguous = shape.reduceRight((fits, size, axis) => {
    const here = size === 1 || strides[axis] === step
    step *= size
    return fits && here
  }, true)
  if (contiguous) return data.subarray(start, start + count)

  allowance(count * data.BYTES_PER_ELEMENT)
  const gathered = new (data.constructor as new (length: number) => WeightData)(count)
  const index = new Array<number>(shape.length).fill(0)
  let from = start
  for (let to = 0; to < count; to++) {
    gathered[to] = data[from] as number
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] as number
      const stride = strides[axis] as number
      index[axis] = (index[axis] as number) + 1
      from += stride
      if (index[axis] !== size) break
      index[axis] = 0
      from -= size * stride
    }
  }
  return gathered
}

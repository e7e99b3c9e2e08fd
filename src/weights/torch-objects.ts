/**
 * The only Python names a checkpoint may mention, and the plain data they stand for.
 *
 * Mirrors what torch.load(weights_only=True) admits for CPU tensors (torch/_weights_only_unpickler.py), and adds the
 * harmless classes that training scripts leave in `args`. A name is a label here: nothing is imported or called.
 */
import { fail } from '../errors.js'
import { nameText } from './state.js'

/** What `torch.save` stores beside the pickle: a run of numbers that tensors look into. */
export interface TorchStorage {
  readonly kind: 'storage'
  /** Names the storage in the file. */
  readonly key: string
  /** safetensors name of its type. */
  readonly dtype: string
  /** Elements in the whole storage. */
  readonly size: number
  /** The part that tensors see (very old files have views of storages). */
  readonly start: number
  readonly length: number
}

/** A strided look at a storage. */
export interface TorchTensor {
  readonly kind: 'tensor'
  readonly storage: TorchStorage
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

/** A harmless Python object (say argparse.Namespace), kept as what it was made from. */
export interface PickledObject {
  readonly kind: 'object'
  readonly name: string
  readonly args: readonly PickleValue[]
  /** What `__setstate__` or `__dict__` would have received. */
  state: PickleValue
}

/** A name of a Python class or function: a label, never looked up. */
interface Global {
  readonly kind: 'global'
  readonly name: string
}

/** Python dicts become Maps, lists and tuples arrays, bytes Uint8Arrays, integers beyond 2⁵³ bigints. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Set<PickleValue>
  | TorchStorage
  | TorchTensor
  | PickledObject
  | Global

/** torch's storage classes and dtypes, and the formats their bytes are in. */
const storageTypes: Readonly<Record<string, string>> = {
  'torch.FloatStorage': 'F32',
  'torch.DoubleStorage': 'F64',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
}

/** Calls that stand for plain data. */
const builders: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  'collections.OrderedDict': ([items = []]) => new Map(pairs(items)),
  'collections.defaultdict': () => new Map(),
  'collections.Counter': ([counts = new Map()]) => counts,
  'torch._utils._rebuild_tensor': rebuildTensor,
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': ([data = null]) => data,
  'torch._utils._rebuild_parameter_with_state': ([data = null]) => data,
  'torch.nn.parameter.Parameter': ([data = null]) => data,
  'torch.Size': ([items = []]) => items,
  'builtins.set': ([items = []]) => new Set(list(items)),
  '__builtin__.set': ([items = []]) => new Set(list(items)),
}

/** Classes whose objects are kept as inert records. They turn up in the `args` and meters of training scripts. */
const inert = new Set([
  'argparse.Namespace',
  'types.SimpleNamespace',
  'pathlib.Path',
  'pathlib.PosixPath',
  'pathlib.WindowsPath',
  'pathlib.PurePosixPath',
  'pathlib.PureWindowsPath',
  'datetime.timedelta',
  'datetime.datetime',
  'torch.device',
  'numpy.dtype',
  'numpy.core.multiarray.scalar',
  'numpy._core.multiarray.scalar',
  '_codecs.encode',
])

/** Names that may be mentioned but not called: torch dtypes, and Python types as `default_factory` or argparse `type`. */
const labels =
  /^(torch\.(float16|float32|float64|bfloat16|int8|int16|int32|int64|uint8|bool)|(builtins|__builtin__)\.(dict|list|int|float|str|bool))$/

const list = (value: PickleValue): PickleValue[] => (Array.isArray(value) ? value : fail('a pickled list is not one'))

function pairs(value: PickleValue): [PickleValue, PickleValue][] {
  return list(value).map((item) => {
    const [key = null, value = null] = list(item)
    return [key, value]
  })
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …); the caller checks sizes against the storage. */
function rebuildTensor([storage, offset, shape, strides]: readonly PickleValue[]): TorchTensor {
  if (typeof storage !== 'object' || storage === null || !('kind' in storage) || storage.kind !== 'storage')
    return fail('a tensor without a storage')
  const valid =
    isCount(offset) &&
    Array.isArray(shape) &&
    Array.isArray(strides) &&
    shape.length === strides.length &&
    shape.length <= 64 &&
    shape.every(isCount) &&
    strides.every(isCount)
  if (!valid) return fail('a tensor with a broken offset, shape or stride')
  return { kind: 'tensor', storage, offset, shape: shape as number[], strides: strides as number[] }
}

/** The tuple by which torch names a storage: ('storage', type, key, location, size[, view]). */
export function persistentStorage(id: PickleValue): TorchStorage {
  const [tag, type, key, , size, view = null] = Array.isArray(id) ? id : []
  if (tag !== 'storage' || !isGlobal(type) || typeof key !== 'string' || !isCount(size))
    return fail('a persistent object that is no tensor storage')
  const dtype = storageTypes[type.name] ?? fail(`the storage type ${type.name} is not supported`)
  if (view === null) return { kind: 'storage', key, dtype, size, start: 0, length: size }
  const [, start, length] = Array.isArray(view) ? view : []
  if (!isCount(start) || !isCount(length) || start + length > size)
    return fail(`a view outside storage ${nameText(key)}`)
  return { kind: 'storage', key, dtype, size, start, length }
}

const isGlobal = (value: PickleValue | undefined): value is Global =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'global'

/** The label for `module.name`; throws InputError with the name when it is not on the list. */
export function global(module: string, name: string): Global {
  const full = `${module}.${name}`
  const known =
    Object.hasOwn(builders, full) || Object.hasOwn(storageTypes, full) || inert.has(full) || labels.test(full)
  if (!known) fail(`refused: it asks for ${nameText(full)}, which no weights file needs; nothing was run`)
  return { kind: 'global', name: full }
}

/** What `callee(*args)` stands for. */
export function call(callee: PickleValue, args: PickleValue): PickleValue {
  if (!isGlobal(callee)) return fail('a call of something that is no function')
  const builder = Object.hasOwn(builders, callee.name) ? builders[callee.name] : undefined
  if (builder) return builder(list(args))
  if (inert.has(callee.name)) return { kind: 'object', name: callee.name, args: list(args), state: null }
  return fail(`a call of ${callee.name}, which is only a name here`)
}

/** `target.__setstate__(state)`, for what has a state worth keeping. */
export function build(target: PickleValue, state: PickleValue): void {
  if (typeof target === 'object' && target !== null && 'kind' in target && target.kind === 'object')
    target.state = state
  // State dicts carry a `_metadata` attribute, parameters hooks: neither holds weights.
}

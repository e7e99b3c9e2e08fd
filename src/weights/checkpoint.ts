/** Reads any weights file: which format it is, is decided by its content, and wrappers around the state dict are opened. */
import { fail } from '../errors.js'
import { readAt, withFile } from '../files.js'
import { readSafetensorsFile, readShardedSafetensors } from './files.js'
import { stripPrefixes } from './names.js'
import type { StateDict } from './state.js'
import type { TorchCheckpoint } from './torch.js'
import { isPickle, isZip } from './torch-format.js'
import type { PickleValue, TorchTensor } from './torch-objects.js'

/** What a weights file holds. */
export interface Checkpoint {
  /** The weights under the file's own names, `module.` prefixes removed. */
  readonly state: StateDict
  /** Text metadata of a safetensors file. */
  readonly metadata: Readonly<Record<string, string>>
  /** What a torch checkpoint holds beside the weights (epoch, args, …), as plain values; tensors in it are not read. */
  readonly extra: ReadonlyMap<string, PickleValue>
}

/** Where training scripts put the weights, and where their moving average. */
const wrappers = ['model', 'state_dict', 'model_state_dict']
const averages = ['model_ema', 'state_dict_ema']

/**
 * Reads a `.safetensors` file, a sharded `.safetensors.index.json`, or a torch checkpoint (`.pth`, `.pt`, `.bin`).
 *
 * @param options.ema - take the moving average of the weights; without it the weights themselves are preferred
 * @throws InputError, naming the file, when there is none, or it is no weights file, damaged or malicious.
 */
export async function readCheckpoint(path: string, options: { readonly ema?: boolean } = {}): Promise<Checkpoint> {
  const [head, size] = await withFile(path, async (file, size) => [await readAt(file, 0, 64), size] as const)
  if (size === 0) fail(`${path}: the file is empty`)
  if (isZip(head) || isPickle(head)) {
    const { withTorchCheckpoint } = await import('./torch.js')
    return withTorchCheckpoint(path, (torch) => unwrap(torch, options.ema ?? false))
  }
  if (options.ema) fail(`${path}: only torch checkpoints hold a moving average of the weights`)
  const text = new TextDecoder('latin1').decode(head)
  if (text.startsWith('version https://git-lfs'))
    fail(`${path}: a Git LFS pointer, not the weights themselves: run \`git lfs pull\``)
  // A safetensors header begins right behind its length; a shard index is JSON from the first byte.
  const isIndex = text[8] !== '{' && text.trimStart().startsWith('{')
  if (!isIndex && text[8] !== '{' && !path.endsWith('.safetensors'))
    fail(`${path}: neither a safetensors file nor a torch checkpoint`)
  const { state, metadata } = await (isIndex ? readShardedSafetensors(path) : readSafetensorsFile(path))
  return { state: stripPrefixes(state, `${path}: `), metadata, extra: new Map() }
}

async function unwrap(torch: TorchCheckpoint, ema: boolean): Promise<Checkpoint> {
  const root = torch.root instanceof Map ? torch.root : fail('it holds no state dict')
  const found = findState(root, ema)
  const tensors = new Map(
    [...found].flatMap(([name, value]) => (isTensor(value) ? [[String(name), value] as const] : [])),
  )
  const extra = new Map<string, PickleValue>()
  for (const [key, value] of root) if (value !== found && !isTensor(value)) extra.set(String(key), value)
  return { state: stripPrefixes(await torch.load(tensors)), metadata: {}, extra }
}

/** The dict that holds tensors: the root itself, or behind one of the usual keys. */
function findState(root: Map<PickleValue, PickleValue>, ema: boolean): Map<PickleValue, PickleValue> {
  if (ema && !averages.some((key) => holdsTensors(root.get(key))))
    fail(`it has no moving average of the weights (${averages.join(' or ')})`)
  for (const key of ema ? averages : [...wrappers, ...averages]) {
    const value = root.get(key)
    if (holdsTensors(value)) return value
  }
  if (holdsTensors(root)) return root
  return fail(`it holds no state dict, neither directly nor as ${[...wrappers, ...averages].join(', ')}`)
}

const isTensor = (value: PickleValue | undefined): value is TorchTensor =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'tensor'

const holdsTensors = (value: PickleValue | undefined): value is Map<PickleValue, PickleValue> =>
  value instanceof Map && [...value.values()].some(isTensor)

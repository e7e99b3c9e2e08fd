/** Thousands of damaged weights files: each loads or is refused in one line, in bounded time and memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { legacy, pickle, pickledTensor, zip } from '../../test/support/torch.js'
import { InputError } from '../errors.js'
import { type VitConfig, vitParameters } from '../models/config.js'
import { createRandom, type Random } from '../random.js'
import { readCheckpoint } from './checkpoint.js'
import { checkState, inferVitConfig, unflattenPatchWeights } from './infer.js'
import { randomVit } from './init.js'
import { toTimmNames } from './names.js'
import { writeSafetensors } from './safetensors.js'

const tiny: VitConfig = {
  imageSize: 2,
  patchSize: 1,
  width: 2,
  depth: 1,
  heads: 1,
  hidden: 2,
  classes: 2,
  distilled: true,
  layerNormEps: 1e-6,
}
const state = randomVit(tiny, 1)
const folder = temporaryFolder()

const contiguous = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))

function torchRoot(isLegacy: boolean): Buffer {
  const tensors = [...state].map(([name, { shape, data }], i) => {
    const tensor = { key: `${i}`, size: data.length, shape, strides: contiguous(shape), legacy: isLegacy }
    return [`module.${name}`, pickledTensor(tensor)] as const
  })
  return pickle.dict({ model: pickle.dict(Object.fromEntries(tensors)), epoch: pickle.integer(3) })
}

const storages = [...state.values()].map(({ data }, i) => [`${i}`, data as Float32Array] as const)

const originals = {
  safetensors: Buffer.concat(writeSafetensors(state, { format: 'pt' })),
  zip: zip({
    'm/data.pkl': pickle.file(torchRoot(false)),
    'm/byteorder': Buffer.from('little'),
    ...Object.fromEntries(storages.map(([key, data]) => [`m/data/${key}`, new Uint8Array(data.buffer)])),
  }),
  'packed zip': zip(
    {
      'm/data.pkl': pickle.file(torchRoot(false)),
      ...Object.fromEntries(storages.map(([key, data]) => [`m/data/${key}`, new Uint8Array(data.buffer)])),
    },
    { deflate: true },
  ),
  legacy: legacy(torchRoot(true), Object.fromEntries(storages)),
}

const extremes = [
  'ffffffff',
  'ffffff7f',
  '00000080',
  '00000000',
  'ffffffffffffffff',
  '0000000000010000',
  'ffffffffffffff7f',
]
const numbers = ['0', '-1', '4294967296', '9007199254740993', '1e400', '0.5', '""', '[]', '{}', 'null']

/** One to three of: flipped bits, a cut, bytes moved, inserted or removed, extreme integers, digits replaced. */
function mutate(original: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(original)
  // Headers and pickles decide, values are only numbers: hit the first part more often.
  const place = () =>
    random.integer(random.uniform() < 0.5 ? bytes.length : Math.min(bytes.length, 1500)) % Math.max(bytes.length, 1)
  const span = () => random.integer(40)
  for (let count = 1 + random.integer(3); count > 0 && bytes.length > 0; count--) {
    const at = place()
    const kind = random.integer(7)
    if (kind === 0)
      for (let i = 0; i <= random.integer(4); i++) bytes[place()] = (bytes[at] ?? 0) ^ (1 << random.integer(8))
    else if (kind === 1) bytes = bytes.subarray(0, at)
    else if (kind === 2) bytes.copy(bytes, at, place(), Math.min(bytes.length, place() + span()))
    else if (kind === 3)
      bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(place()).subarray(0, span()), bytes.subarray(at)])
    else if (kind === 4) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + span())])
    else if (kind === 5) Buffer.from(extremes[random.integer(extremes.length)] ?? '', 'hex').copy(bytes, at)
    else {
      const digit = bytes.subarray(at).findIndex((byte) => byte >= 48 && byte <= 57)
      if (digit < 0) continue
      const text = Buffer.from(numbers[random.integer(numbers.length)] ?? '')
      bytes = Buffer.concat([bytes.subarray(0, at + digit), text, bytes.subarray(at + digit + 1)])
    }
  }
  return bytes
}

async function load(path: string): Promise<void> {
  const weights = unflattenPatchWeights(toTimmNames((await readCheckpoint(path)).state))
  checkState(weights, vitParameters(inferVitConfig(weights, { heads: 1 })))
}

for (const [kind, original] of Object.entries(originals))
  test(`600 damaged ${kind} files never crash, hang or take much memory`, async () => {
    await load(folder.write('original', original))
    const random = createRandom(2310)
    const outcomes = { loaded: 0, refused: 0 }
    let slowest = 0
    let memory = 0
    for (let i = 0; i < 600; i++) {
      const path = folder.write('damaged.safetensors', mutate(original, random))
      const start = performance.now()
      try {
        await load(path)
        outcomes.loaded++
      } catch (error) {
        assert.ok(error instanceof InputError, `${kind} ${i}: ${error instanceof Error ? error.stack : error}`)
        assert.ok(!/\p{Cc}/u.test(error.message), `${kind} ${i}: more than a line: ${error.message}`)
        assert.ok(error.message.length < 4000, `${kind} ${i}: ${error.message.length} characters`)
        outcomes.refused++
      }
      slowest = Math.max(slowest, performance.now() - start)
      memory = Math.max(memory, process.memoryUsage().rss)
    }
    assert.ok(slowest < 2000, `${slowest} ms`)
    assert.ok(memory < 2 ** 30, `${memory} bytes`)
    // Damage that always or never matters would test nothing.
    assert.ok(outcomes.loaded > 20 && outcomes.refused > 200, JSON.stringify(outcomes))
  })

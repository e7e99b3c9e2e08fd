import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { pickle, pickledTensor, zip } from '../../test/support/torch.js'
import { InputError } from '../errors.js'
import { readCheckpoint } from './checkpoint.js'
import { readSafetensorsFile } from './files.js'

const golden = (name: string): string => join(import.meta.dirname, '../../test/golden', name)
const folder = temporaryFolder()

/** Asserts that a checkpoint is refused with a reason, in one line that names the file. */
async function refused(path: string, reason: RegExp): Promise<void> {
  await assert.rejects(readCheckpoint(path), (error) => {
    assert.ok(error instanceof InputError, String(error))
    assert.ok(error.message.startsWith(`${path}: `), error.message)
    assert.ok(!error.message.includes('\n'))
    assert.match(error.message, reason)
    return true
  })
}

for (const name of ['variants.pth', 'variants-legacy.pth'])
  test(`${name}: every storage type, stride and wrapper gives the values torch has`, async () => {
    const expected = await readSafetensorsFile(golden('variants-expected.safetensors'))
    const { state, extra } = await readCheckpoint(golden(name))
    const short = (key: string) => key.replace('module.', '')
    assert.deepEqual([...state.keys()].sort(), [...expected.state.keys()].map(short).sort())
    for (const [key, { shape, data }] of expected.state) {
      assert.deepEqual(state.get(short(key))?.shape, shape, key)
      assert.deepEqual(state.get(short(key))?.data, data, key)
    }
    const stored = (key: string) => state.get(key)?.dtype
    assert.deepEqual(
      ['blocks.0.mlp.fc2.weight', 'blocks.0.attn.proj.weight', 'blocks.0.norm2.weight', 'extra.mask'].map(stored),
      ['F16', 'BF16', 'F64', 'BOOL'],
    )
    assert.deepEqual([...extra.keys()], ['epoch', 'best_acc', 'args'])
    const args = extra.get('args')
    assert.ok(args && typeof args === 'object' && 'kind' in args && args.kind === 'object')
    assert.equal(args.name, 'argparse.Namespace')
    assert.ok(args.state instanceof Map)
    assert.equal(args.state.get('arch'), 'deit_small')
  })

test('the zip and the legacy form of one checkpoint hold the same weights', async () => {
  const modern = await readCheckpoint(golden('idlevit-deit.pth'))
  const legacy = await readCheckpoint(golden('idlevit-deit-legacy.pth'))
  assert.equal(modern.state.size, 152)
  assert.deepEqual(new Map([...legacy.state].sort()), new Map([...modern.state].sort()))
})

const reference = join(
  process.env.IDLEVIT_SHARED ?? join(import.meta.dirname, '../../../shared'),
  'golden/idlevit-deit.safetensors',
)
test('they are the weights of the reference file', {
  skip: !existsSync(reference) && `${reference} is not here`,
}, async () => {
  const { state } = await readCheckpoint(golden('idlevit-deit.pth'))
  const expected = [...(await readSafetensorsFile(reference)).state].filter(([name]) => name.startsWith('state.'))
  assert.deepEqual(new Map(expected.map(([name, tensor]) => [name.slice('state.'.length), tensor])), state)
})

for (const [name, global] of [
  ['evil.pth', 'posix.system'],
  ['evil-legacy.pth', '__builtin__.eval'],
] as const)
  test(`${name} is refused by the name of what it wants to call, and runs nothing`, async () => {
    const trace = '/tmp/pwned' // what the payload would create
    rmSync(trace, { force: true })
    await refused(golden(name), new RegExp(`asks for ${global.replace('.', '\\.')}`))
    assert.ok(!existsSync(trace))
  })

test('other ways to reach a function are refused too', async () => {
  const { file, text, tuple } = pickle
  const command = text('touch /tmp/pwned')
  const stackGlobal = Buffer.concat([text('os'), text('system'), Buffer.from([0x93]), tuple(command), Buffer.from('R')])
  const cases: Readonly<Record<string, Buffer>> = {
    'a name from the stack': file(stackGlobal),
    'INST of protocol 0': file(Buffer.concat([Buffer.from('('), command, Buffer.from('ios\nsystem\n')])),
    'a name that is an attribute of a list': file(Buffer.from('c__builtin__\ngetattr\n')),
    'a name with line noise': file(Buffer.from('cos\x1b[2J\nsystem\n')),
    'an inherited property': file(Buffer.from('c\nconstructor\n')),
  }
  for (const [what, bytes] of Object.entries(cases)) {
    const path = folder.write('names.pth', zip({ 'a/data.pkl': bytes }))
    await assert.rejects(readCheckpoint(path), /refused: it asks for [ -~]*, which no weights file needs/, what)
  }
})

const sixteen = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)

function checkpoint(tensor: Parameters<typeof pickledTensor>[0], data: Uint8Array = sixteen): string {
  const root = pickle.file(pickle.dict({ t: pickledTensor(tensor) }))
  return folder.write('tensor.pth', zip({ 'a/data.pkl': root, 'a/data/0': data }))
}

test('tensors that lie about their storage are refused before memory is taken', async () => {
  await refused(checkpoint({ size: 4, shape: [5], strides: [1] }), /tensor t \[5\] reaches past the 4 numbers/)
  await refused(checkpoint({ size: 4, offset: 3, shape: [2], strides: [1] }), /reaches past the 4 numbers/)
  await refused(checkpoint({ size: 4, shape: [2, 2], strides: [3, 1] }), /reaches past the 4 numbers/)
  await refused(checkpoint({ size: 4, shape: [-2], strides: [1] }), /broken offset, shape or stride/)
  await refused(checkpoint({ size: 4, shape: [2, 2], strides: [1] }), /broken offset, shape or stride/)
  await refused(checkpoint({ size: 5, shape: [4], strides: [1] }), /storage 0 holds 16 bytes, 20 were expected/)
  await refused(checkpoint({ size: 2 ** 45, shape: [4], strides: [1] }), /unpack to far more than/)
  await refused(checkpoint({ size: 4, key: '1', shape: [4], strides: [1] }), /storage 1 is missing/)
  await refused(checkpoint({ size: 4, type: 'QInt8Storage', shape: [4], strides: [1] }), /torch\.QInt8Storage/)
  // One number repeated 2^40 times.
  await refused(checkpoint({ size: 4, shape: [2 ** 20, 2 ** 20], strides: [0, 0] }), /unpack to far more than/)
})

test('strides within the storage are followed', async () => {
  const read = async (shape: number[], strides: number[], offset = 0) =>
    (await readCheckpoint(checkpoint({ size: 4, shape, strides, offset }))).state.get('t')?.data
  assert.deepEqual(await read([2, 2], [1, 2]), Float32Array.of(1, 3, 2, 4))
  assert.deepEqual(await read([2], [2], 1), Float32Array.of(2, 4))
  assert.deepEqual(await read([3, 1], [0, 7], 2), Float32Array.of(3, 3, 3))
  assert.deepEqual(await read([], [], 3), Float32Array.of(4))
  assert.deepEqual(await read([0, 9], [9, 1]), new Float32Array(0))
})

test('packed archives are read, and bombs are not', async () => {
  const tensor = { size: 4, shape: [4], strides: [1] }
  const entries = { 'a/data.pkl': pickle.file(pickle.dict({ t: pickledTensor(tensor) })), 'a/data/0': sixteen }
  const packed = folder.write('packed.pth', zip(entries, { deflate: true }))
  assert.deepEqual((await readCheckpoint(packed)).state.get('t')?.data, Float32Array.of(1, 2, 3, 4))

  const bomb = { size: 10 * 2 ** 20, shape: [10 * 2 ** 20], strides: [1] }
  const root = pickle.file(pickle.dict({ t: pickledTensor(bomb) }))
  const zeros = new Uint8Array(40 * 2 ** 20)
  const path = folder.write('bomb.pth', zip({ 'a/data.pkl': root, 'a/data/0': zeros }, { deflate: true }))
  await refused(path, /unpack to far more than/)
  await refused(
    folder.write('claim.pth', zip(entries, { deflate: true, claimed: 2 ** 30 })),
    /data\.pkl claims 1073741824/,
  )
  await refused(folder.write('claim.pth', zip(entries, { claimed: 1000 })), /damaged zip archive/)
})

test('damaged, foreign and empty files are refused with the reason', async () => {
  await refused(folder.write('a.pth', ''), /empty/)
  await refused(folder.write('a.pth', 'GIF89a, in truth'), /neither a safetensors file nor a torch checkpoint/)
  await refused(folder.write('a.pth', 'version https://git-lfs.github.com/spec/v1\noid sha256:00'), /git lfs pull/)
  await refused(folder.write('a.pth', zip({ 'readme.txt': sixteen })), /without data\.pkl/)
  await refused(folder.write('a.pth', zip({ 'data.pkl': pickle.file(pickle.integer(7)) })), /holds no state dict/)
  await refused(folder.write('a.pth', zip({ 'data.pkl': pickle.file(pickle.dict({})) })), /holds no state dict/)
  await refused(folder.write('a.pth', pickle.file(pickle.integer(7))), /torch\.save did not write/)
  await refused(folder.write('a.pth', zip({ 'data.pkl': Buffer.from([0x80, 2, 0x7d]) })), /ends too early/)
  await refused(folder.write('a.pth', zip({ 'data.pkl': Buffer.from([0x80, 2, 0xff]) })), /opcode 0xff/)
  const many = zip({ 'data.pkl': Buffer.alloc(2_000_001, 'N') })
  await refused(folder.write('a.pth', many), /more than 2000000 operations/)
})

test('the weights are preferred to their moving average, unless asked', async () => {
  const at = (offset: number) => pickle.dict({ t: pickledTensor({ size: 4, offset, shape: [1], strides: [1] }) })
  const root = pickle.file(pickle.dict({ model_ema: at(1), model: at(0), epoch: pickle.integer(3) }))
  const path = folder.write('ema.pth', zip({ 'a/data.pkl': root, 'a/data/0': sixteen }))
  assert.deepEqual((await readCheckpoint(path)).state.get('t')?.data, Float32Array.of(1))
  assert.equal((await readCheckpoint(path)).extra.get('epoch'), 3)
  assert.deepEqual((await readCheckpoint(path, { ema: true })).state.get('t')?.data, Float32Array.of(2))
  await assert.rejects(readCheckpoint(golden('idlevit-deit.pth'), { ema: true }), /has no moving average/)
})

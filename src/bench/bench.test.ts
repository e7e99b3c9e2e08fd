import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { randomPixels, randomWeights, tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { encodeOnnx } from '../graph/onnx.js'
import { shapeOf } from '../models/backbone.js'
import { buildGraph } from '../models/build.js'
import { modelCost } from '../models/cost.js'
import { planReduction } from '../reduction/registry.js'
import { KEEP_INPUT } from '../reduction/schedule.js'
import { createSession } from '../runtime/node.js'
import { type BenchmarkReport, benchmark } from './models.js'
import { profileOperators, summarise } from './profile.js'

const model = { name: 'tiny', config: tiny, state: randomWeights(tiny, 1) }
const request = {
  keepRatios: [1, 0.5],
  batches: [3],
  precisions: ['fp32', 'int8'],
  rounds: 2,
  blockMilliseconds: 2,
} as const

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idlevit-bench-'))
})
after(() => rm(folder, { recursive: true }))

describe('benchmark', () => {
  let report: BenchmarkReport
  let other = ''
  before(async () => {
    other = join(folder, 'other.onnx')
    await writeFile(other, encodeOnnx(buildGraph(tiny, model.state, { method: 'none' })).bytes)
    report = await benchmark(model, { ...request, against: [other], memory: true, profile: true, microBatch: 2 })
  })

  it('times the plain model, every combination and the other model', () => {
    assert.deepEqual(
      report.rows.map(({ model, method, keepRatio, precision, batch, microBatch }) => [
        model,
        method,
        keepRatio,
        precision,
        batch,
        microBatch,
      ]),
      [
        ['plain', 'none', 1, 'fp32', 3, 3],
        ['idlevit', 'none', 1, 'fp32', 3, 2],
        ['idlevit', 'idle', 0.5, 'fp32', 3, 2],
        ['idlevit', 'none', 1, 'int8', 3, 2],
        ['idlevit', 'idle', 0.5, 'int8', 3, 2],
        [other, undefined, undefined, undefined, 3, 3],
      ],
    )
    const [plain, , idle] = report.rows
    assert.equal(plain?.speedup, 1)
    const { denseMacs } = modelCost(tiny, {})
    assert.equal(plain?.gmacs, denseMacs / 1e9)
    assert.ok(idle?.macRatio && Math.abs(idle.macRatio - denseMacs / 1e9 / (idle.gmacs ?? 0)) < 1e-12)
    for (const row of report.rows) {
      const { min, median, max } = row.msPerBatch
      assert.ok(0 < min && min <= median && median <= max)
      assert.ok(Math.abs(row.imagesPerSecond - 3000 / median) < 1e-9)
    }
  })

  it('times several methods in one run, the dense model once', async () => {
    const drawn = { ...request, precisions: ['fp32'] as const, methods: ['evit', 'dynamicvit', 'tome'] as const }
    await assert.rejects(benchmark(model, { ...drawn, fuse: false }), {
      name: 'InputError',
      message: /^dynamicvit: wanted weights trained for it, found a model without score_predictor/,
    })
    const { rows } = await benchmark(model, { ...drawn, fuse: false, missing: 0 })
    const macs = (method: 'evit' | 'dynamicvit', fuse?: false) =>
      modelCost(tiny, planReduction({ method, keepRatio: 0.5, ...(fuse === false && { fuse }) }, shapeOf(tiny))).macs /
      1e9
    assert.deepEqual(
      rows.slice(0, 4).map(({ model, method, keepRatio, gmacs }) => [model, method, keepRatio, gmacs]),
      [
        ['plain', 'none', 1, modelCost(tiny, {}).denseMacs / 1e9],
        ['idlevit', 'none', 1, modelCost(tiny, { method: 'none' }).macs / 1e9],
        ['idlevit', 'evit', 0.5, macs('evit', false)],
        ['idlevit', 'dynamicvit', 0.5, macs('dynamicvit')],
      ],
    )
    assert.deepEqual([rows.length, rows[4]?.method, rows[4]?.keepRatio], [5, 'tome', 0.5])
  })

  it('measures memory in a process of its own', () => {
    for (const { peakMemoryBytes = 0 } of report.rows)
      assert.ok(peakMemoryBytes > 30e6 && peakMemoryBytes < 400e6, `${peakMemoryBytes} bytes`)
  })

  it('lists operators, slowest first', () => {
    const [plain, , , quantized] = report.rows
    const names = (row: typeof plain) => row?.profile?.map(({ operator }) => operator) ?? []
    assert.ok(names(plain).includes('Gemm') && !names(plain).includes('MultiHeadAttention'))
    assert.ok(names(quantized).includes('DynamicQuantizeMatMul'))
    const shares = plain?.profile?.map(({ share }) => share) ?? []
    assert.ok(Math.abs(shares.reduce((a, b) => a + b, 0) - 1) < 1e-9)
    assert.deepEqual(
      shares,
      [...shares].sort((a, b) => b - a),
    )
  })

  it('says what is wrong with another model', async () => {
    const path = join(folder, 'no.onnx')
    await writeFile(path, 'nothing')
    const bench = (against: string) => benchmark(model, { ...request, against: [against] })
    await assert.rejects(bench(path), (error) => error instanceof InputError && error.message.includes(path))
    const large = { ...tiny, imageSize: 2 * tiny.imageSize }
    const wrong = join(folder, 'wrong.onnx')
    await writeFile(wrong, encodeOnnx(buildGraph(large, randomWeights(large, 1), { method: 'none' })).bytes)
    await assert.rejects(
      bench(wrong),
      (error) => error instanceof InputError && /cannot run a batch of 3/.test(error.message),
    )
  })
})

it('sums a profile by operator: medians of nodes, the first run left out', () => {
  const event = (name: string, op_name: string, dur: number) => ({ cat: 'Node', name, dur, args: { op_name } })
  const events = [
    ...[9000, 1000, 3000, 2000].map((dur) => event('a_kernel_time', 'Gemm', dur)),
    ...[9000, 4000, 4000, 4000].map((dur) => event('b_kernel_time', 'Gemm', dur)),
    ...[9000, 2000, 2000, 2000].map((dur) => event('c_kernel_time', 'Add', dur)),
    ...[9000, 2500, 2500, 2500].map((dur) => event('d_kernel_time', 'If', dur)), // holds the Add
    event('c_fence_before', 'Add', 70000),
    { cat: 'Session', name: 'model_run', dur: 1e6 },
  ]
  assert.deepEqual(summarise(events), [
    { operator: 'Gemm', nodes: 2, milliseconds: 6, share: 0.75 },
    { operator: 'Add', nodes: 1, milliseconds: 2, share: 0.25 },
  ])
})

describe('an elastic graph', () => {
  for (const [tokens, selects] of [
    [[16, 16, 16, 16], false],
    [[16, 16, 16, 9], true],
  ] as const)
    it(`told to keep ${tokens} of 16 ${selects ? 'selects' : 'selects nothing'}`, async () => {
      const graph = buildGraph(tiny, model.state, { keep: [16, 9, 9, 9], elastic: true })
      const feeds = {
        pixel_values: randomPixels(tiny, 2, 3),
        [KEEP_INPUT]: { data: BigInt64Array.from(tokens, BigInt), shape: [tokens.length] },
      }
      const profile = await profileOperators(
        (prefix) => createSession(graph, { profile: prefix }),
        (session) => session.run(feeds),
      )
      assert.equal(
        profile.some(({ operator }) => operator === 'TopK'),
        selects,
      )
    })
})

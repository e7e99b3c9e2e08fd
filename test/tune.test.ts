/** `idlevit tune` as a user runs it: a plan for a target, what takes it, resuming, one clear line for every mistake. */

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import sharp from 'sharp'
import { interruptCommand, runCommand } from './support/command.js'

const idlevit = (...args: string[]) => runCommand(args, { ...process.env, HF_ENDPOINT: 'http://127.0.0.1:9' })
const demo = ['tune', '--model', 'demo', '--data', 'scenes:2:24'] as const

let folder = ''
let out = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idlevit-tune-'))
  out = join(folder, 'tuned')
})
after(() => rm(folder, { recursive: true }))

const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'))

describe('idlevit tune', () => {
  const few = [...demo, '--methods', 'idle,tome', '--tries', '3', '--rounds', '1', '--threads', '1', '--json']

  it('writes a plan that keeps to its target, and what is known of it', async () => {
    const run = await idlevit(...few, '--target', '0.6x', '--out', out)
    assert.equal(run.code, 0, run.stderr)
    const report = JSON.parse(run.stdout)
    assert.deepEqual((await readdir(out)).sort(), ['journal.json', 'plan.json', 'tune.html', 'tune.json'])
    assert.deepEqual(await json(join(out, 'tune.json')), report)
    const plan = await json(join(out, 'plan.json'))
    assert.equal(report.plan, join(out, 'plan.json'))
    const { predicted, measured, pictures } = report
    assert.deepEqual([plan.predicted, plan.measured], [predicted, measured])
    assert.deepEqual(pictures, { search: 8, prediction: 8, measurement: 8 })
    const work = measured.gmacs / measured.denseGmacs
    assert.ok(work <= 0.6 && work > 0.57, `${work}`)
    assert.equal(predicted.gmacs, measured.gmacs)
    assert.ok(report.tries <= 3)
    assert.ok(Math.abs(measured.top1Percent - measured.denseTop1Percent - measured.pointsToDense) < 1e-9)
    for (const [name, row] of Object.entries({ predicted, measured })) {
      for (const field of ['agreementPercent', 'top1Percent', 'pointsToDense', 'milliseconds', 'speedup', 'gmacs'])
        assert.equal(typeof row[field], 'number', `${name}.${field}`)
    }
    assert.equal(report.candidates.filter(({ chosen }: { chosen: boolean }) => chosen).length, 1)
    // The same model, pictures and plan elsewhere.
    const info = await idlevit('info', '--model', 'demo', '--plan', report.plan, '--json')
    assert.equal(info.code, 0, info.stderr)
    const { method, gmacs, denseGmacs } = JSON.parse(info.stdout)
    assert.equal(method, plan.method)
    assert.ok(Math.abs(gmacs - measured.gmacs) < 1e-9 && gmacs < denseGmacs)
  })

  it('goes on with what was measured, also for another target', async () => {
    const before = await json(join(out, 'journal.json'))
    const again = await idlevit(...few, '--target', '0.6x', '--out', out, '--resume')
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stderr, /going on with \d+ measurements of /)
    assert.deepEqual(await json(join(out, 'journal.json')), before) // nothing was measured again
    const other = await idlevit(...few, '--target', '1.2x', '--out', out, '--resume')
    assert.equal(other.code, 0, other.stderr)
    assert.equal(JSON.parse(other.stdout).target, '1.2x')
    const { answers } = await json(join(out, 'journal.json'))
    for (const key of Object.keys(before.answers)) assert.deepEqual(answers[key], before.answers[key])
    assert.ok(Object.keys(answers).length > Object.keys(before.answers).length)
  })

  it('interrupted ends with 130, keeps what was measured and goes on from there', async () => {
    const cut = join(folder, 'cut')
    const args = [
      ...demo,
      '--methods',
      'idle,tome',
      '--tries',
      '40',
      '--threads',
      '1',
      '--target',
      '0.6x',
      '--out',
      cut,
    ]
    const { code, stdout, stderr } = await interruptCommand(args, 'SIGINT', /searching [1-9]/)
    assert.equal(code, 130, stderr)
    assert.equal(stdout, '')
    assert.deepEqual(await readdir(cut), ['journal.json'])
    const kept = Object.keys((await json(join(cut, 'journal.json'))).answers).length
    assert.ok(kept > 0)
    const again = await interruptCommand([...args, '--resume'], 'SIGTERM', /going on with \d+ measurements/)
    assert.equal(again.signal, 'SIGTERM', again.stderr)
    assert.ok(Object.keys((await json(join(cut, 'journal.json'))).answers).length >= kept)
  })

  it('needs no labels', async () => {
    const photos = join(folder, 'photos')
    await mkdir(photos)
    for (let i = 0; i < 6; i++)
      await sharp(
        Uint8Array.from({ length: 3 * 96 * 96 }, (_, at) => (at * (i + 3)) % 251),
        {
          raw: { width: 96, height: 96, channels: 3 },
        },
      ).toFile(join(photos, `${i}.png`))
    const run = await idlevit(
      ...['tune', photos, '--model', 'demo', '--methods', 'tome', '--target', '0.7x', '--tries', '1'],
      ...['--rounds', '1', '--threads', '1', '--json', '--out', join(folder, 'unlabelled')],
    )
    assert.equal(run.code, 0, run.stderr)
    const { labelled, predicted, measured } = JSON.parse(run.stdout)
    assert.deepEqual([labelled, predicted.source, predicted.top1Percent], [false, 'confidence', null])
    assert.deepEqual([measured.top1Percent, measured.pointsToDense], [null, null])
    assert.equal(typeof predicted.pointsToDense, 'number')
  })

  const wrong: readonly [args: readonly string[], code: number, message: RegExp][] = [
    [[...demo], 2, /^error: --target <T> is missing, as in: idlevit tune /],
    [
      ['tune', '--model', 'demo', '--target', '0.7x'],
      2,
      /^error: nothing to tune on: wanted pictures by name, or --data/,
    ],
    [[...demo, '--target', '1x'], 1, /^error: --target: wanted .*found 1x\n$/],
    [
      [...demo, '--target', '0.01x', '--methods', 'tome'],
      1,
      /^error: --target 0\.01x: wanted at least 0\.\d+ of the dense/,
    ],
    [[...demo, '--target', '0.7x', '--methods', 'ats'], 1, /^error: --methods, entry 1: wanted one of idle, group/],
    [['tune', '--model', 'demo', '--data', 'scenes:2:4', '--target', '0.7x'], 1, /wanted at least 6 pictures, found 4/],
  ]
  for (const [args, code, message] of wrong)
    it(`refuses ${args.slice(1).join(' ')}`, async () => {
      const run = await idlevit(...args, '--rounds', '1', '--out', join(folder, 'refused'))
      assert.equal(run.stdout, '')
      assert.match(run.stderr.replace(/^(timing|reading|searching).*\n/gm, ''), message)
      assert.equal(run.code, code)
    })

  it('resumes nothing that was measured of something else', async () => {
    const run = await idlevit(...few, '--target', '0.6x', '--out', out, '--resume', '--precision', 'int8')
    assert.match(run.stderr, /^error: --resume: .* was begun with precision "fp32", found "int8"; only the target, /)
    assert.equal(run.code, 1)
  })
})

describe('--plan', () => {
  it('stands alone, and for one model', async () => {
    const plan = join(out, 'plan.json')
    const refused = async (...args: string[]) => (await idlevit(...args, '--plan', plan)).stderr
    assert.match(
      await refused('info', '--model', 'demo', '--keep-ratio', '0.5'),
      /^error: option '--plan <file>' cannot be used with option '--keep-ratio <K>'/,
    )
    assert.match(
      await refused('info', '--model', 'demo', '--method', 'idle'),
      /^error: option '--plan <file>' cannot be used with option '--method <name>'/,
    )
    assert.match(
      await refused('info', '--model', 'deit-tiny'),
      /plan\.json: a plan for 8 blocks of 144 tokens \(demo\), but deit-tiny has 12 of 196\n$/,
    )
    for (const command of ['eval', 'compare'] as const) {
      const run = await idlevit(
        ...[command, '--model', 'demo', '--data', 'scenes:3:8', '--plan', plan, '--json'],
        ...(command === 'compare' ? ['--methods', 'none', '--rounds', '1'] : []),
      )
      assert.equal(run.code, 0, run.stderr)
      const { gmacs } = (await json(plan)).measured
      const report = JSON.parse(run.stdout)
      assert.ok(Math.abs((command === 'eval' ? report : report.rows[1]).gmacs - gmacs) < 1e-9)
    }
  })
})

/** The built command: steps that are calibrated, written, and taken by other commands. */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { runForJson as json, runCommand } from './support/command.js'
import { temporaryFolder } from './support/folder.js'
import { golden } from './support/shared.js'

const { path: folder } = temporaryFolder()
const steps = join(folder, 'steps.json')
const data = 'scenes:5:24'
const waves = golden('images/3-waves.jpg')
const idlevit = (...args: string[]) => runCommand(args)

interface Outcome {
  readonly top1: number
  readonly gmacs: number
  readonly exits: readonly number[]
}

const calibrated: {
  report?: { calibrated: Outcome; thresholds: number[]; asked: { gmacs: number }[]; model: object }
} = {}

describe('steps on the command line', () => {
  before(async () => {
    calibrated.report = await json(
      ...['calibrate', '--model', 'demo', '--data', data, '--target', '0.8x', '--steps', '0.3,1', '--out', steps],
    )
  })

  it('are answered by eval as they were counted', async () => {
    const { calibrated: wanted, thresholds } = calibrated.report as NonNullable<typeof calibrated.report>
    const found = await json('eval', '--model', 'demo', '--data', data, '--plan', steps)
    assert.deepEqual([found.top1, found.exits, found.thresholds], [wanted.top1, wanted.exits, thresholds])
    assert.ok(Math.abs(found.gmacs - wanted.gmacs) < 1e-12)
    assert.ok(
      wanted.exits.every((count) => count > 0),
      `exits ${wanted.exits}`,
    )
    assert.equal(found.steps.length, 2)
    const first = await json('eval', '--model', 'demo', '--data', data, '--plan', steps, '--thresholds', '0')
    assert.deepEqual(first.exits, [24, 0])
  })

  it('are taken by info, classify, compare and bench', async () => {
    const { asked } = calibrated.report as NonNullable<typeof calibrated.report>
    const [info, classified, compared, timed] = await Promise.all([
      json('info', '--model', 'demo', '--plan', steps),
      json('classify', waves, '--model', 'demo', '--plan', steps, '--thresholds', '2'),
      json('compare', '--model', 'demo', '--data', data, '--methods', 'none', '--plan', steps, '--rounds', '1'),
      json(
        ...['bench', '--model', 'demo', '--plan', steps, '--batch', '1', '--precision', 'fp32'],
        ...['--rounds', '1', '--block', '1', '--no-memory'],
      ),
    ])
    assert.deepEqual(
      info.nets.map(({ gmacs }: { gmacs: number }) => gmacs),
      asked.map(({ gmacs }) => gmacs),
    )
    assert.equal(classified[0].exit, 1)
    assert.ok(Math.abs(classified[0].gmacs - info.gmacs) < 1e-12)
    const { calibrated: wanted } = calibrated.report as NonNullable<typeof calibrated.report>
    assert.ok(Math.abs(compared.rows[1].gmacs - wanted.gmacs) < 1e-9)
    assert.deepEqual(
      timed.rows.map(({ step }: { step?: number }) => step),
      [undefined, undefined, 1, 2],
    )
  })

  it('work without labels', async () => {
    const out = join(folder, 'unlabelled.json')
    const pictures = [waves, golden('images/0-gradient.png'), golden('images/1-text.png'), golden('images/4-rings.jpg')]
    const report = await json(
      'calibrate',
      ...pictures,
      '--model',
      'demo',
      '--target',
      '-5%',
      '--steps',
      '0.5,1',
      '--out',
      out,
    )
    assert.equal(report.calibrated.top1, null)
    assert.equal(report.data.labelled, false)
  })

  it('are refused in a line where they do not fit', async () => {
    const other = join(folder, 'notes.json')
    await writeFile(other, '{}')
    const asked = ['calibrate', '--model', 'demo', '--data', data]
    const refused: [args: string[], message: RegExp][] = [
      [
        ['export', '--model', 'demo', '--plan', steps, '--out', join(folder, 'x')],
        /steps.json: a plan in steps, which classify/,
      ],
      [
        ['eval', '--model', 'demo-dense', '--data', data, '--plan', steps],
        /thresholds for the weights of demo, found others/,
      ],
      [
        ['eval', '--model', 'demo', '--data', data, '--plan', steps, '--thresholds', '1,1'],
        /thresholds: wanted 1 number/,
      ],
      [[...asked, '--target', '-1%', '--out', other], /notes.json: wanted a new file, or one that calibrate wrote/],
    ]
    const outcomes = await Promise.all(refused.map(([args]) => idlevit(...args)))
    for (const [i, { code, stdout, stderr }] of outcomes.entries()) {
      assert.equal(stdout, '')
      assert.match(stderr, refused[i]?.[1] as RegExp)
      assert.equal(stderr.split('\n').filter((line) => line.startsWith('error')).length, 1)
      assert.notEqual(code, 0)
    }
    assert.equal(await readFile(other, 'utf8'), '{}')
  })
})

/** Tuning on a made-up device and made-up answers, so that what must be found is known. */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { tiny } from '../../test/support/models.js'
import type { Speed } from '../compare/timing.js'
import type { Change, Reference } from './answers.js'
import { openJournal } from './journal.js'
import type { Lab } from './lab.js'
import { type Plan, tunableMethods, tunedMethod } from './methods.js'
import { parseTarget } from './target.js'
import { tune } from './tune.js'

const config = { ...tiny, imageSize: 48, depth: 4 } // 36 image tokens, four blocks
const methods = tunableMethods(config, {}).map((method) => tunedMethod(config, method))
const PICTURES = 1000
const DENSE = 10

/** How much each method loses; tome the least. */
const harm: Readonly<Record<string, number>> = { idle: 4, group: 2, evit: 3, tome: 1 }

const workOf = (plan: Plan) => methods.find(({ name }) => name === plan.method)?.workOf(plan.keepTokens) ?? Number.NaN

/** Half of what is changed is lost, a tenth gained. */
function changeOf(plan: Plan): Change {
  const out = plan.keepTokens.reduce((sum, n) => sum + (1 - n / 36) ** 2, 0) / plan.keepTokens.length
  const divergence = (harm[plan.method] as number) * out
  const changed = Math.round(PICTURES * Math.min(1, 0.3 * divergence))
  return { pictures: PICTURES, changed, lost: 0.5 * changed, gained: 0.1 * changed, divergence }
}

function speed(share: number): Speed {
  const ms = 16 * DENSE * share
  const ratio = 1 / share
  return {
    msPerBatch: { min: ms, median: ms, max: ms },
    speedup: ratio,
    speedupQuartiles: [ratio, ratio],
    imagesPerSecond: (1000 / DENSE) * ratio,
  }
}

/** A device on which plans take a tenth longer once they are looked at closely. */
function makeLab() {
  const asked: string[] = []
  const lab: Lab = {
    lanes: 1,
    batch: 16,
    reference: async () => ({ best: new Int32Array(PICTURES), right: 700 }) as unknown as Reference,
    async change(part, plan) {
      asked.push(`${part} ${plan.method} ${plan.keepTokens}`)
      return changeOf(plan)
    },
    async speeds(purpose, plans) {
      const off = purpose === 'cost' ? 1 : 1.1
      return [speed(1), ...plans.map((plan) => speed(off * (0.1 + 0.8 * workOf(plan))))]
    },
  }
  return { lab, asked }
}

const find = (target: string, lab = makeLab().lab) =>
  tune({ config, methods, target: parseTarget(target), tries: 40, rounds: 4, lab })

describe('tuning', () => {
  it('keeps to a share of the work, by the method that loses least', async () => {
    const { lab, asked } = makeLab()
    const { method, tokens, measured, predicted, candidates } = await find('0.7x', lab)
    assert.equal(method.name, 'tome')
    assert.ok(method.workOf(tokens) <= 0.7 && method.workOf(tokens) > 0.67)
    assert.equal(measured.gmacs, predicted.gmacs)
    const searched = asked.filter((each) => each.startsWith('search'))
    assert.ok(searched.length <= 40)
    assert.equal(new Set(searched).size, searched.length)
    assert.equal(asked.filter((each) => each.startsWith('measurement')).length, 1) // the winner alone
    const [chosen, ...others] = candidates.filter((each) => each.chosen)
    assert.deepEqual([chosen?.tokens, others], [tokens, []])
  })

  it('reaches a speed and a time as they are measured, though the cost model was off', async () => {
    const faster = await find('1.5x')
    assert.ok(Math.abs(faster.measured.speedup - 1.5) < 0.05, `${faster.measured.speedup}`)
    assert.ok(Math.abs(faster.predicted.speedup - faster.measured.speedup) < 0.05)
    assert.equal(faster.missed, undefined)
    const sooner = await find('7ms')
    assert.ok(Math.abs(sooner.measured.milliseconds - 7) < 0.2, `${sooner.measured.milliseconds}`)
  })

  it('predicts what changed answers cost on held-out pictures', async () => {
    const { method, tokens, predicted, measured } = await find('0.6x')
    const { changed } = changeOf(method.planOf(tokens))
    const points = (-100 * 0.4 * changed) / PICTURES
    assert.ok(Math.abs(predicted.pointsToDense - points) < 1e-9)
    assert.ok(Math.abs((measured.pointsToDense ?? Number.NaN) - points) < 1e-9)
    assert.ok(Math.abs((predicted.top1Percent ?? Number.NaN) - (70 + points)) < 1e-9)
  })

  it('loses no more than it may, and does nearly as little work as that allows', async () => {
    const { predicted, method, tokens } = await find('-2%')
    assert.ok(predicted.pointsToDense >= -2 && predicted.pointsToDense < -1.4, `${predicted.pointsToDense}`)
    assert.ok(method.workOf(tokens) < 1)
  })

  it('refuses what no plan can do', async () => {
    await assert.rejects(find('0.05x'), {
      name: 'InputError',
      message: /^--target 0\.05x: wanted at least 0\.\d+ of the/,
    })
    await assert.rejects(find('50x'), {
      name: 'InputError',
      message: /^--target 50x: wanted at least 0\.\d+ of the .*time/,
    })
    await assert.rejects(find('11ms'), {
      name: 'InputError',
      message: '--target: wanted less than the 10.00 ms a picture that the dense model takes here, found 11ms',
    })
  })
})

describe('the journal', () => {
  const change: Change = { pictures: 3, changed: 1, lost: 1, gained: 0, divergence: 0.5 }

  it('measures once, and goes on with what was measured', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'idlevit-journal-'))
    try {
      const open = (common: object, resume: boolean) => openJournal(folder, { ...common }, { resume })
      const first = await open({ seed: 1 }, false)
      let measured = 0
      const measure = async () => {
        measured++
        return change
      }
      assert.deepEqual(await first.change('a', measure), change)
      assert.deepEqual(await first.change('a', measure), change)
      assert.equal(measured, 1)
      await first.save()
      const next = await open({ seed: 1 }, true)
      assert.equal(next.earlier, 1)
      assert.deepEqual(await next.change('a', () => assert.fail('measured again')), change)
      await assert.rejects(open({ seed: 2 }, true), { name: 'InputError', message: /was begun with seed 1, found 2/ })
      const path = join(folder, 'journal.json')
      await writeFile(path, (await readFile(path, 'utf8')).replace('"lost": 1', '"lost": "1"'))
      await assert.rejects(open({ seed: 1 }, true), { name: 'InputError', message: `${path}: is damaged` })
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

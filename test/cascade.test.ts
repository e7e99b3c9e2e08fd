/** The built command on a cascade of nets (DVT). */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { modelCost } from '../src/models/cost.js'
import { saveSafetensors } from '../src/weights/files.js'
import { cascadeConfig, randomCascade } from './support/cascade.js'
import { runForJson as json, runCommand } from './support/command.js'
import { temporaryFolder } from './support/folder.js'
import { golden } from './support/shared.js'

const { path: folder } = temporaryFolder()
const model = join(folder, 'dvt.safetensors')
const kept = join(folder, 'kept')
const { config, state } = randomCascade(cascadeConfig({ classes: 16 }))
const { nets = [] } = modelCost(config)
const data = 'scenes:5:9'
const waves = golden('images/3-waves.jpg')
const idlevit = (...args: string[]) => runCommand(args)

describe('a cascade on the command line', () => {
  before(() => saveSafetensors(model, state))

  it('gets thresholds from data, which its folder keeps and eval goes by', async () => {
    const found = await json('eval', '--model', model, '--data', data, '--exit-budget', '20', '--out', kept)
    assert.deepEqual(found.exits, [3, 3, 3])
    assert.equal(found.method, 'dvt')
    const mean = nets.reduce((sum, { macsUpTo }) => sum + macsUpTo, 0) / 3 / 1e9
    assert.ok(Math.abs(found.gmacs - mean) < 1e-12)
    const stored = JSON.parse(await readFile(join(kept, 'config.json'), 'utf8')).idlevit.thresholds
    assert.deepEqual(found.thresholds, stored)
    const again = await json('eval', '--model', kept, '--data', data, '--method', 'dvt')
    assert.deepEqual([again.exits, again.top1, again.gmacs], [found.exits, found.top1, found.gmacs])
  })

  it('tells its nets, and which of them answers', async () => {
    const [info, classified] = await Promise.all([
      json('info', '--model', model),
      idlevit('classify', waves, '--model', model, '--thresholds', '2,0'),
    ])
    assert.deepEqual(
      info.nets.map(({ name, tokens }: { name: string; tokens: number }) => [name, tokens]),
      [
        ['less_less_token', 49],
        ['less_token', 100],
        ['normal_token', 196],
      ],
    )
    assert.equal(info.gmacs, (nets[2]?.macsUpTo ?? 0) / 1e9)
    const second = ((nets[1]?.macsUpTo ?? 0) / 1e9).toFixed(3)
    assert.ok(classified.stdout.includes(`ms, net 2, ${second} GMACs)`), classified.stdout)
  })

  it('is refused in a line where a single net is wanted, and where its folder would be written over', async () => {
    const single = /error: .*wanted a single net, found .*a cascade of nets \(DVT\)/
    const refused: [args: string[], message: RegExp][] = [
      [['visualize', waves, '--out', join(folder, 'v')], single],
      [['eval', '--data', data, '--keep-ratio', '0.7'], /error: --keep-ratio: wanted a single net/],
      [['eval', '--data', data, '--out', folder, '--exit-budget', '20'], /error: .*wanted a new or an empty folder/],
    ]
    const outcomes = await Promise.all(refused.map(([args]) => idlevit(...args, '--model', model)))
    for (const [i, { code, stdout, stderr }] of outcomes.entries()) {
      assert.equal(stdout, '')
      assert.match(stderr, refused[i]?.[1] as RegExp)
      assert.equal(stderr.split('\n').filter((line) => line.startsWith('error')).length, 1)
      assert.notEqual(code, 0)
    }
  })
})

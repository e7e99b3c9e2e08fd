import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { cascadeConfig, randomCascade } from '../../test/support/cascade.js'
import { saveCascade } from '../export/cascade.js'
import { saveSafetensors } from './files.js'
import { loadModel } from './load.js'
import type { StateDict } from './state.js'

const { state, config } = randomCascade()
let folder = ''
let file = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idlevit-cascade-'))
  file = join(folder, 'dvt.safetensors')
  await saveSafetensors(file, state)
})
after(() => rm(folder, { recursive: true }))

describe('weights of a cascade', () => {
  it('tell its sizes', async () => {
    const model = await loadModel(file, { cascades: true })
    assert.deepEqual(model.config, config)
    assert.deepEqual([...model.state], [...state])
    assert.match(model.origins?.heads.source ?? '', /relation_reuse_conv/)
    const bare = cascadeConfig({
      width: 128,
      heads: 2,
      cascade: { smaller: config.cascade?.smaller ?? [], relations: false },
    })
    const path = join(folder, 'bare.safetensors')
    await saveSafetensors(path, randomCascade(bare).state)
    assert.deepEqual((await loadModel(path, { cascades: true })).config, bare)
  })

  it('are kept in a folder with their thresholds, which is never written over', async () => {
    const out = join(folder, 'kept')
    const model = await loadModel(file, { cascades: true })
    await saveCascade({ ...model, thresholds: [0.7, 1e8], labels: [...'abcdefg'] }, out)
    const kept = await loadModel(out, { cascades: true })
    assert.deepEqual([kept.thresholds, kept.labels, kept.config], [[0.7, 1e8], [...'abcdefg'], config])
    assert.deepEqual(kept.preprocess, model.preprocess)
    await assert.rejects(saveCascade(model, out), /config\.json: wanted a new or an empty folder/)
    await writeFile(join(out, 'config.json'), '{"idlevit": {"thresholds": [0.5]}}')
    await assert.rejects(loadModel(out, { cascades: true }), /idlevit\.thresholds: wanted 2 numbers.*found 1/)
    await writeFile(join(out, 'config.json'), '{"idlevit": {"thresholds": "high"}}')
    await assert.rejects(loadModel(out, { cascades: true }), /idlevit\.thresholds/)
  })

  it('are refused, by name, where a single net is wanted', async () => {
    await assert.rejects(loadModel(file), /dvt\.safetensors: .*wanted a single net, found a cascade of nets \(DVT\)/)
  })

  const cases: [what: string, change: (state: StateDict) => void, message: RegExp][] = [
    [
      'of T2T-ViT',
      (each) =>
        each.set('normal_token.tokens_to_token.project.weight', {
          dtype: 'F32',
          shape: [1],
          data: new Float32Array(1),
        }),
      /normal_token\.tokens_to_token\.project\.weight: a DVT of T2T-ViT .* is not computed here/,
    ],
    [
      'without its second net',
      (each) => {
        for (const name of [...each.keys()]) if (name.startsWith('less_token.')) each.delete(name)
      },
      /there is no less_token\.\*/,
    ],
    [
      'with one tensor missing',
      (each) => each.delete('normal_token.blocks.1.feature_resuse_mlp.1.fc2.bias'),
      /1 missing: normal_token\.blocks\.1\.feature_resuse_mlp\.1\.fc2\.bias/,
    ],
    [
      'on another grid',
      (each) => each.set('less_token.pos_embed', { dtype: 'F32', shape: [1, 82, 24], data: new Float32Array(82 * 24) }),
      /less_token: wanted a grid of 10 x 10 patches on pictures of 224, found 9/,
    ],
  ]
  for (const [what, change, message] of cases)
    it(`${what} are refused`, async () => {
      const changed: StateDict = new Map(state)
      change(changed)
      const path = join(folder, 'changed.safetensors')
      await saveSafetensors(path, changed)
      await assert.rejects(loadModel(path, { cascades: true }), message)
    })

  it('run at no other size, and with no other heads', async () => {
    await assert.rejects(loadModel(file, { cascades: true, imageSize: 384 }), /takes pictures of 224 .* found 384/)
    await assert.rejects(loadModel(file, { cascades: true, heads: 4 }), /heads: wanted 3.* found 4/)
  })
})

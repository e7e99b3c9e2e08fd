/** `idlevit compare` as a user runs it: rows, JSON, the page in a browser, resuming, one clear line for every mistake. */

import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { embeddedFolder } from '../src/weights/embedded.js'
import { brightness, launchChromium, needsChromium, openPage } from './support/chromium.js'
import { runCommand } from './support/command.js'

const idlevit = (...args: string[]) => runCommand(args, { ...process.env, HF_ENDPOINT: 'http://127.0.0.1:9' })
const demo = ['compare', '--model', 'demo', '--data', 'scenes:5:64'] as const

let folder = ''
let own = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idlevit-compare-'))
  own = join(folder, 'my-idle')
  await cp(embeddedFolder('demo') as string, own, { recursive: true })
  const path = join(own, 'config.json')
  const config = JSON.parse(await readFile(path, 'utf8'))
  config.idlevit.keepRatios = [1, 1, 0.6, 0.6, 0.36, 0.36, 0.216, 0.216]
  await writeFile(path, JSON.stringify(config))
})
after(() => rm(folder, { recursive: true }))

describe('idlevit compare', () => {
  it('measures rows on the same pictures, writes a page, and takes more rows later', async () => {
    const out = join(folder, 'compared')
    const both = [
      'compare',
      '--model',
      `demo,${own}`,
      '--data',
      'scenes:5:64',
      '--rounds',
      '1',
      '--json',
      '--out',
      out,
      '--methods',
      'idle',
    ]
    const first = await idlevit(...both, '--keep-ratio', '0.5', '--match-gmacs')
    assert.equal(first.code, 0, first.stderr)
    const report = JSON.parse(first.stdout)
    assert.equal(report.images, 64)
    assert.deepEqual(report.skipped, [])
    assert.deepEqual(JSON.parse(await readFile(join(out, 'compare.json'), 'utf8')), report)
    assert.deepEqual((await readdir(out)).sort(), ['answers.json', 'compare.html', 'compare.json'])
    interface Row
      extends Readonly<
        Record<
          'params' | 'gmacs' | 'top1' | 'top5' | 'top1Percent' | 'top5Percent' | 'imagesPerSecond' | 'speedup',
          number
        >
      > {
      readonly name: string
      readonly method: string
      readonly keepRatio: number
      readonly precision: string
    }
    const rows = report.rows as Row[]
    assert.deepEqual(
      rows.map(({ name, method, keepRatio, precision }) => [name, method, keepRatio, precision]),
      [
        ['dense', 'none', 1, 'fp32'],
        ['idle 0.5', 'idle', 0.5, 'fp32'],
        ['my-idle', 'idle', 0.6, 'fp32'],
      ],
    )
    for (const row of rows) {
      assert.equal(row.params, rows[0]?.params)
      assert.equal(row.top1Percent, (100 * row.top1) / 64)
      assert.equal(row.top5Percent, (100 * row.top5) / 64)
      assert.ok(row.imagesPerSecond > 0 && row.speedup > 0)
    }
    assert.equal(rows[0]?.speedup, 1)
    const gmacs = rows.map(({ gmacs }) => gmacs)
    assert.ok((gmacs[0] as number) > (gmacs[2] as number) && (gmacs[2] as number) > (gmacs[1] as number))

    const more = await idlevit(...both, '--keep-ratio', '0.7,0.5', '--precision', 'fp32,int8', '--resume')
    assert.equal(more.code, 0, more.stderr)
    const now = JSON.parse(more.stdout).rows as Row[]
    assert.equal(now.length, 8)
    const accuracy = ({ name, top1, top5, gmacs }: Row) => ({ name, top1, top5, gmacs })
    for (const before of rows)
      assert.deepEqual(
        accuracy(now.find(({ name, precision }) => name === before.name && precision === 'fp32') as Row),
        accuracy(before),
      )
    // eval agrees: the accuracy is not ours alone.
    const evaluated = await idlevit('eval', '--model', own, '--data', 'scenes:5:64', '--json')
    assert.equal(JSON.parse(evaluated.stdout).top1, rows[2]?.top1)
  })

  it('draws a page for phones and desks, light and dark', needsChromium, async () => {
    const file = join(folder, 'compared', 'compare.html')
    const browser = await launchChromium()
    try {
      for (const width of [360, 1440])
        for (const colorScheme of ['light', 'dark'] as const) {
          const page = await openPage(browser, file, { width, colorScheme })
          const { mean, min, max } = await brightness(page, 'figure img')
          assert.ok(colorScheme === 'light' ? mean > 0.8 : mean < 0.3, `${mean}`)
          assert.ok(max - min > 0.5)
          await page.close()
        }
    } finally {
      await browser.close()
    }
  })

  it('compares all methods of the registry at the same multiply-adds', async () => {
    const { code, stdout, stderr } = await idlevit(
      ...['compare', '--model', 'demo', '--data', 'scenes:5:16', '--rounds', '1', '--json'],
      ...['--keep-ratio', '0.7', '--match-gmacs'],
    )
    assert.equal(code, 0, stderr)
    assert.match(stderr, /warning: dynamicvit is left out: it has no score_predictor/)
    interface Row {
      readonly method: string
      readonly gmacs: number
      readonly match?: { readonly gmacs: number }
    }
    const { rows } = JSON.parse(stdout) as { rows: Row[] }
    assert.deepEqual(
      rows.map(({ method }) => method),
      ['none', 'idle', 'group', 'evit', 'evovit', 'ats', 'tome'],
    )
    const idle = rows[1]?.gmacs as number
    for (const { method, gmacs, match } of rows.slice(2)) {
      assert.equal(match?.gmacs, idle)
      // ATS computes fewer tokens of these pictures even where it may take all: it can only say how far off it is.
      if (method === 'ats') assert.ok(gmacs < idle)
      else assert.ok(Math.abs(gmacs / idle - 1) < 0.04, `${method}: ${gmacs} for ${idle}`)
    }
  })

  it('prints a table for people, and writes nothing without --out', async () => {
    const { code, stdout } = await idlevit(
      ...demo,
      '--methods',
      'idle',
      '--limit',
      '16',
      '--rounds',
      '1',
      '--keep-ratio',
      '0.5',
    )
    assert.equal(code, 0)
    assert.match(stdout, /^demo on 16 pictures of scenes:5:64; /)
    assert.match(stdout, /\nrow +GMACs +MAC ratio +top-1 .*\ndense .*\nidle 0\.5 /)
    assert.match(stdout, /\nonly the first 16 of 64 pictures\n/)
  })
})

describe('a mistake is one line', () => {
  const cases: Record<string, () => Promise<readonly [args: string[], message: RegExp]>> = {
    'an unknown method': async () => [
      [...demo, '--methods', 'idle,magic'],
      /--methods, entry 2: wanted one of none, idle.*, found magic/,
    ],
    'a keep ratio above 1': async () => [
      [...demo, '--keep-ratio', '0.5,1.5'],
      /--keep-ratio, entry 2: .*at most 1, found 1\.5/,
    ],
    'a keep ratio of zero': async () => [[...demo, '--keep-ratio', '0'], /--keep-ratio, entry 1: .*above 0.*found 0/],
    'a model whose classes are not the data’s': async () => [
      ['compare', '--model', 'deit-tiny', '--init', 'random:0', '--data', 'scenes:5:16'],
      /scenes:5:16: .*16 classes are none of the model's/,
    ],
    'a second model with other classes': async () => {
      const other = join(folder, 'others')
      await cp(own, other, { recursive: true })
      const config = JSON.parse(await readFile(join(other, 'config.json'), 'utf8'))
      config.id2label = Object.fromEntries(Object.keys(config.id2label).map((index) => [index, `thing ${index}`]))
      await writeFile(join(other, 'config.json'), JSON.stringify(config))
      return [
        ['compare', '--model', `demo,${other}`, '--data', 'scenes:5:16'],
        /none of the model's.*others knows 16 classes/,
      ]
    },
    'a second model that reads other pictures': async () => {
      const other = join(folder, 'larger')
      await cp(own, other, { recursive: true })
      const config = JSON.parse(await readFile(join(other, 'config.json'), 'utf8'))
      config.idlevit.preprocess.resize = 128
      await writeFile(join(other, 'config.json'), JSON.stringify(config))
      return [
        ['compare', '--model', `demo,${other}`, '--data', 'scenes:5:16'],
        /--model larger: wanted pictures as demo takes them \(shorter side 96 .*found shorter side 128/,
      ]
    },
    'the same model twice': async () => [
      ['compare', '--model', 'demo,demo', '--data', 'scenes:5:16'],
      /different names, found demo twice/,
    ],
    'nothing to resume': async () => [
      [...demo, '--out', join(folder, 'nowhere'), '--resume'],
      /nowhere: there is no comparison to resume: it holds no answers\.json/,
    ],
    'resuming without a folder': async () => [[...demo, '--resume'], /--resume: wanted --out DIR/],
    'a folder with files of others': async () => {
      await writeFile(join(own, 'compare.html'), 'mine')
      return [[...demo, '--out', own], /my-idle.compare\.html: .*it would be lost/]
    },
  }
  for (const [name, make] of Object.entries(cases))
    it(name, async () => {
      const [args, message] = await make()
      const { code, stdout, stderr } = await idlevit(...args)
      assert.equal(stdout, '')
      assert.match(stderr, message)
      assert.match(stderr, /^error: [^\n]*\n$/)
      assert.equal(code, 1)
    })
})

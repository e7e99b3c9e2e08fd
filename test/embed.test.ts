/** `idlevit embed` as its users run it: killed and resumed, its files, its memory, one line for every mistake. */

import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { EmbedReport } from '../src/embed/embed.js'
import { parseSafetensors } from '../src/weights/safetensors.js'
import { interruptCommand, runCommand } from './support/command.js'
import { temporaryFolder } from './support/folder.js'
import { golden } from './support/shared.js'

const folder = temporaryFolder()
const at = (...names: string[]) => join(folder.path, ...names)
const idlevit = (...args: string[]) => runCommand(args, { ...process.env, HF_ENDPOINT: 'http://127.0.0.1:9' })
const demo = ['--model', 'demo', '--keep-ratio', '0.5', '--threads', '1']

describe('idlevit embed', () => {
  it('killed twice ends in the same bytes as never killed', async () => {
    const args = ['embed', ...demo, '--data', 'scenes:4:400', '--tokens', '--batch', '8', '--json', '--out']
    const [whole, killed] = [at('whole.safetensors'), at('killed.safetensors')]
    const plain = await idlevit(...args, whole)
    assert.equal(plain.code, 0, plain.stderr)
    const lines = () => {
      const journal = join(`${killed}.partial`, 'journal')
      return existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').length - 2 : 0
    }
    const rows = () => statSync(join(`${killed}.partial`, 'features'), { throwIfNoEntry: false })?.size ?? 0
    let [before, written] = [0, Number.POSITIVE_INFINITY]
    // Once when the journal counts rows, once when there are rows that it does not count yet.
    for (const ready of [() => lines() > before, () => rows() > written]) {
      const { signal } = await interruptCommand([...args, killed, '--resume'], 'SIGKILL', ready)
      assert.equal(signal, 'SIGKILL')
      assert.ok(!existsSync(killed))
      ;[before, written] = [lines(), rows()]
    }
    const refused = await idlevit(...args, killed)
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /^error: .*partial: an unfinished run is there \(\d+ of 400 pictures\): --resume goes/m,
    )
    const { code, stdout, stderr } = await idlevit(...args, killed, '--resume')
    assert.equal(code, 0, stderr)
    const report = JSON.parse(stdout) as EmbedReport
    assert.deepEqual([report.images, report.width, report.tokens, report.out], [400, 96, 144, killed])
    assert.equal(report.resumed, 8 * before)
    assert.ok(readFileSync(killed).equals(readFileSync(whole)))
    assert.ok(!existsSync(`${killed}.partial`))
  })

  it('interrupted keeps what is done and ends with 130', async () => {
    const args = ['embed', ...demo, '--data', 'scenes:4:100000', '--out', at('endless.npy')]
    const journal = at('endless.npy.partial', 'journal')
    const ready = () => existsSync(journal) && statSync(journal).size > 2000
    const { code, stdout, stderr } = await interruptCommand(args, 'SIGINT', ready)
    assert.deepEqual([code, stdout], [130, ''], stderr)
    assert.match(stderr, /endless\.npy\.partial keeps what is done: the same command with --resume goes on/)
  })

  it('takes pictures by name, skips and names what it cannot read, and agrees with itself on --data', async () => {
    mkdirSync(at('pictures', 'waves'), { recursive: true })
    copyFileSync(golden('images/3-waves.jpg'), at('pictures', 'waves', 'a.jpg'))
    writeFileSync(at('pictures', 'waves', 'b.jpg'), 'no picture')
    writeFileSync(at('pictures', 'waves', 'c.txt'), 'a text')
    const named = await idlevit('embed', at('pictures'), ...demo, '--out', at('named.safetensors'), '--json')
    assert.equal(named.code, 0, named.stderr)
    const report = JSON.parse(named.stdout) as EmbedReport & { preprocessing: { crop: number }; precision: string }
    assert.equal(report.images, 1)
    assert.deepEqual(
      report.skipped.map(({ path }) => path),
      [at('pictures', 'waves', 'b.jpg')],
    )
    assert.deepEqual(
      report.leftOut.map(({ path }) => path),
      [at('pictures', 'waves', 'c.txt')],
    )
    assert.deepEqual([report.preprocessing.crop, report.precision, report.pool], [96, 'fp32', 'head'])
    const labelled = await idlevit('embed', '--data', at('pictures'), ...demo, '--out', at('labelled.safetensors'))
    assert.equal(labelled.code, 0, labelled.stderr)
    assert.match(labelled.stdout, /1 pictures skipped: they have no row/)
    const read = (name: string) => parseSafetensors(readFileSync(at(name))).state
    assert.deepEqual(read('named.safetensors').get('features'), read('labelled.safetensors').get('features'))
    assert.deepEqual(Array.from((read('labelled.safetensors').get('labels')?.data ?? []) as Int32Array), [0])
    assert.equal(read('named.safetensors').get('labels'), undefined)
    const piped = await runCommand(
      ['embed', '-', ...demo, '--out', at('piped.safetensors')],
      process.env,
      folder.path,
      readFileSync(golden('images/3-waves.jpg')),
    )
    assert.equal(piped.code, 0, piped.stderr)
    assert.deepEqual(read('piped.safetensors').get('features'), read('named.safetensors').get('features'))
  })

  it('reports what idling did, in a table and as JSON', async () => {
    const args = ['embed', ...demo, '--data', 'scenes:4:30', '--report', '--out', at('report.npy')]
    const { code, stdout, stderr } = await idlevit(...args, '--json')
    assert.equal(code, 0, stderr)
    const { report } = JSON.parse(stdout) as EmbedReport
    assert.ok(report && report.cosine.mean > 0.9 && report.cosine.mean < 1)
    assert.equal(report.blocks.length, 8)
    assert.equal(report.neighbours.queries, 30)
    const html = readFileSync(at('report.report.html'), 'utf8')
    assert.ok(html.includes(report.worst[0]?.path as string) && html.includes(report.cosine.mean.toFixed(4)))
    assert.match((await idlevit(...args)).stdout, /recall@1 +recall@10\n/)
  })

  it('computes in int8 and fp16 as well', async () => {
    for (const precision of ['int8', 'fp16']) {
      const args = ['embed', ...demo, '--data', 'scenes:4:12', '--normalize', '--report', '--precision', precision]
      const { code, stdout, stderr } = await idlevit(...args, '--json', '--out', at(`${precision}.npy`))
      assert.equal(code, 0, stderr)
      const { report } = JSON.parse(stdout) as EmbedReport
      assert.ok(report && report.cosine.mean > 0.9, precision)
    }
  })

  const mistakes: readonly [name: string, args: string[], code: number, message: RegExp][] = [
    ['no pictures', [...demo, '--out', 'x.npy'], 2, /nothing to embed: wanted pictures by name, or --data/],
    ['both', ['a.jpg', '--data', 'scenes', ...demo, '--out', 'x.npy'], 2, /--data: wanted pictures by name or --data/],
    ['no file', ['a.jpg', ...demo], 2, /--out <FILE> is missing, as in: idlevit embed --model demo /],
    [
      'an ending',
      ['--data', 'scenes', ...demo, '--out', 'x.csv'],
      1,
      /x\.csv: wanted a name that ends in \.npy, \.par/,
    ],
    ['no folder', ['--data', 'scenes', ...demo, '--out', 'no/x.npy'], 1, /no\/x\.npy: no such folder: no/],
    ['a folder', ['--data', 'scenes', ...demo, '--out', 'dir.npy'], 1, /dir\.npy: is a folder, not a file/],
    [
      'a pool',
      ['--data', 'scenes', ...demo, '--out', 'x.npy', '--pool', 'max'],
      1,
      /--pool: wanted one of head, class, me/,
    ],
    [
      'two features',
      ['--data', 'scenes', ...demo, '--out', 'x.npy', '--pool', 'mean', '--tokens'],
      2,
      /option '--tokens' cannot be used with option '--pool <name>'/,
    ],
    [
      'dense report',
      ['--data', 'scenes', '--model', 'demo', '--keep-ratio', '1', '--out', 'x.npy', '--report'],
      1,
      /--report: compares with the dense model, and this one is dense/,
    ],
    ['no picture', ['no.jpg', ...demo, '--out', 'x.npy'], 1, /no\.jpg: no such file or folder/],
    [
      'an input',
      ['--data', 'scenes', '--model', 'w.safetensors', '--out', 'w.safetensors'],
      1,
      /w\.safetensors: is read as w\.safetensors and would be replaced/,
    ],
  ]
  for (const [name, args, code, message] of mistakes)
    it(`one line: ${name}`, async () => {
      mkdirSync(at('mistakes', 'dir.npy'), { recursive: true })
      writeFileSync(at('mistakes', 'w.safetensors'), '')
      const outcome = await runCommand(['embed', ...args], process.env, at('mistakes'))
      assert.match(outcome.stderr, message)
      assert.match(outcome.stderr, /^error: [^\n]*\n$/)
      assert.deepEqual([outcome.code, outcome.stdout], [code, ''])
      assert.deepEqual(readdirSync(at('mistakes')), ['dir.npy', 'w.safetensors'])
    })
})

/** The built command as a user runs it: exit codes, JSON, one clear line for every mistake. */

import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import sharp from 'sharp'
import { saveSafetensors } from '../src/weights/files.js'
import { loadModel } from '../src/weights/load.js'
import { runCommand } from './support/command.js'
import { golden, needs, sharedPath } from './support/shared.js'

/** Runs `idlevit` with arguments, and without network: the hub is a closed port. */
const idlevit = (...args: string[]) =>
  runCommand(args, { ...process.env, HF_ENDPOINT: 'http://127.0.0.1:9', HF_HOME: join(folder, 'hub') })

let folder = ''
let weights = ''
const waves = golden('images/3-waves.jpg')
const tiny = ['--model', 'deit-tiny', '--init', 'random:0']

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idlevit-cli-'))
  weights = join(folder, 'tiny.safetensors')
  const { state } = await loadModel('deit-tiny', { init: 'random:1' })
  await saveSafetensors(weights, state)
})
after(() => rm(folder, { recursive: true }))

describe('idlevit', () => {
  it('classifies a picture with a weights file', async () => {
    const { code, stdout, stderr } = await idlevit(
      'classify',
      waves,
      '--model',
      weights,
      '--keep-ratio',
      '0.7',
      '--json',
    )
    // Nothing lies beside these weights: the statistics are a guess, which is told.
    assert.match(stderr, /^warning: how pictures are made is a guess, ImageNet's statistics: [^\n]+\n$/)
    assert.equal(code, 0)
    const [result, ...more] = JSON.parse(stdout)
    assert.equal(more.length, 0)
    assert.equal(result.image, waves)
    assert.equal(result.predictions.length, 5)
    assert.ok(result.milliseconds > 0)
    const scores = result.predictions.map(({ score }: { score: number }) => score)
    assert.deepEqual(scores, [...scores].sort().reverse())
    assert.equal(typeof result.predictions[0].label, 'string')
  })

  it('evaluates an image folder and skips what is broken', async () => {
    const data = join(folder, 'data')
    for (const name of ['tench', 'zebra']) await mkdir(join(data, name), { recursive: true })
    const picture = await readFile(waves)
    await writeFile(join(data, 'tench', '1.jpg'), picture)
    await writeFile(join(data, 'zebra', '1.jpg'), picture)
    await writeFile(join(data, 'zebra', '2.jpg'), 'not a picture')
    const { code, stdout, stderr } = await idlevit('eval', '--data', data, ...tiny, '--keep-ratio', '0.5', '--json')
    assert.equal(code, 0)
    assert.match(stderr, /warning: .*2\.jpg/)
    const report = JSON.parse(stdout)
    assert.equal(report.images, 2)
    assert.equal(report.skipped.length, 1)
    assert.ok(report.top1 <= 1) // the same picture under two labels
    assert.equal(report.top1Percent, 50 * report.top1)
    assert.equal(report.method, 'idle')
    assert.equal(report.precision, 'fp32')
    assert.equal(report.keepRatios.length, 12)
    assert.ok(report.loss > 0 && report.gmacs > 0 && report.imagesPerSecond > 0)
    assert.deepEqual(report.preprocessing, {
      ...{ mode: 'center', interpolation: 'bicubic', resize: 256, crop: 224 },
      ...{ mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
      ...{ source: "the preset's own", guessed: false },
    })
  })

  it('takes preprocessing and heads from the files beside the weights, and says so', async () => {
    const model = join(folder, 'other-statistics')
    await mkdir(model)
    await copyFile(weights, join(model, 'tiny.safetensors'))
    const pretrained = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], crop_pct: 0.9, input_size: [3, 224, 224] }
    const config = { architecture: 'vit_tiny_patch16_224', model_args: { num_heads: 6 }, pretrained_cfg: pretrained }
    await writeFile(join(model, 'config.json'), JSON.stringify(config))
    const file = join(model, 'tiny.safetensors')
    const about = JSON.parse((await idlevit('info', '--model', file, '--json')).stdout)
    assert.deepEqual([about.heads, about.headsGuessed], [6, false])
    assert.equal(about.headsSource, `${join(model, 'config.json')} (model_args.num_heads)`)
    const { source, guessed, ...preprocess } = about.preprocessing
    assert.deepEqual(preprocess, {
      ...{ mode: 'center', interpolation: 'bicubic', resize: 248, crop: 224 },
      ...{ mean: pretrained.mean, std: pretrained.std },
    })
    assert.deepEqual([source, guessed], [`${join(model, 'config.json')} (pretrained_cfg)`, false])
    const shown = (await idlevit('info', '--model', file, '--heads', '3', '--mean', '0.4,0.4,0.4', '--crop', '160'))
      .stdout
    assert.match(shown, /attention heads: 3 \(as given\)/)
    assert.match(
      shown,
      /pictures: shorter side 177 \(bicubic\), centre crop 160, mean 0\.4,0\.4,0\.4, std 0\.5,0\.5,0\.5 \(.*with mean as given\)/,
    )

    const out = join(folder, 'exported')
    assert.equal((await idlevit('export', '--model', file, '--out', out)).code, 0)
    const again = await loadModel(out)
    assert.deepEqual(again.preprocess, { resize: 248, crop: 224, mean: pretrained.mean, std: pretrained.std })
    assert.equal(again.config.heads, 6)
    const written = JSON.parse(await readFile(join(out, 'preprocessor_config.json'), 'utf8'))
    assert.deepEqual([written.image_mean, written.size, written.resample], [pretrained.mean, { shortest_edge: 248 }, 3])
  })

  it('tells what a model costs, without its weights', async () => {
    const { code, stdout } = await idlevit('info', '--model', 'deit-small', '--keep-ratio', '0.7', '--json')
    assert.equal(code, 0)
    const report = JSON.parse(stdout)
    assert.equal(report.params, 22_050_664)
    assert.equal(report.denseGmacs.toFixed(3), '4.599')
    assert.equal(report.countings.kForAll.toFixed(3), '3.007')
    assert.equal(report.countings.selectedOnly.toFixed(3), '2.878')
    assert.equal(report.countings.executed, report.gmacs)
    assert.deepEqual(
      report.blocks.map(({ tokens }: { tokens: number }) => tokens),
      [196, 196, 196, 137, 137, 137, 96, 96, 96, 67, 67, 67],
    )
  })

  it('verifies reference files and fails by the exit code', async () => {
    const good = await idlevit('verify', golden('idlevit-deit.safetensors'), golden('variants.pth'), '--json')
    assert.equal(good.code, 0)
    assert.ok(JSON.parse(good.stdout).every(({ pass }: { pass: boolean }) => pass))
    const evil = await idlevit('verify', golden('evil.pth'))
    assert.equal(evil.code, 1)
    assert.match(evil.stderr, /^error: .*evil\.pth.*\n$/)
  })

  it('warns about keep ratios that rise along depth', async () => {
    const ratios = '1,1,1,0.5,0.7,0.5,0.5,0.5,0.5,0.5,0.5,0.5'
    const { code, stderr } = await idlevit('info', '--model', 'deit-tiny', '--keep-ratios', ratios)
    assert.equal(code, 0)
    assert.match(stderr, /warning: keep ratios rise at block 4/)
  })

  it('classifies the smallest picture there is', async () => {
    const dot = join(folder, 'dot.png')
    await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } }).toFile(dot)
    const { code } = await idlevit('classify', dot, ...tiny)
    assert.equal(code, 0)
  })

  const deit = sharedPath('data/weights/deit_tiny_patch16_224.safetensors')
  const photo = sharedPath('data/photos/n01697457_African_crocodile.JPEG')
  it('knows a crocodile', needs(deit && photo, 'DeiT-Tiny'), async () => {
    const { stdout } = await idlevit('classify', photo ?? '', '--model', deit ?? '', '--keep-ratio', '0.7', '--json')
    assert.equal(JSON.parse(stdout)[0].predictions[0].label, 'African crocodile')
  })
})

describe('bad input ends with exit code 1 and one line', () => {
  const write = async (name: string, bytes: string | Uint8Array) => {
    const path = join(folder, name)
    await writeFile(path, bytes)
    return path
  }
  const cases: Record<string, () => Promise<readonly [args: string[], message: RegExp]>> = {
    'no such picture': async () => [['classify', 'absent.jpg', ...tiny], /absent\.jpg/],
    'no picture at all': async () => [['classify', await write('text.jpg', 'hello'), ...tiny], /text\.jpg/],
    'a truncated JPEG': async () => {
      const half = (await readFile(waves)).subarray(0, 4000)
      return [['classify', await write('half.jpg', half), ...tiny], /half\.jpg/]
    },
    'a picture of 50,000 × 50,000 pixels': async () => {
      const png = await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
        .png()
        .toBuffer()
      png.writeUInt32BE(50_000, 16)
      png.writeUInt32BE(50_000, 20)
      return [['classify', await write('huge.png', png), ...tiny], /huge\.png.*50000|huge\.png/]
    },
    'an empty folder': async () => {
      await mkdir(join(folder, 'empty'), { recursive: true })
      return [['eval', '--data', join(folder, 'empty'), ...tiny], /empty/]
    },
    'a truncated weights file': async () => {
      const bytes = (await readFile(weights)).subarray(0, 100_000)
      return [['classify', waves, '--model', await write('cut.safetensors', bytes)], /cut\.safetensors.*truncated/]
    },
    'an oversize header': async () => {
      const header = Buffer.alloc(16)
      header.writeBigUInt64LE(1n << 60n)
      return [
        ['classify', waves, '--model', await write('oversize.safetensors', header)],
        /oversize\.safetensors.*header/,
      ]
    },
    'weights that are not numbers': async () => {
      const bytes = Buffer.from(await readFile(weights))
      bytes.writeFloatLE(Number.NaN, bytes.length - 4000)
      return [['classify', waves, '--model', await write('nan.safetensors', bytes)], /nan\.safetensors.*NaN/]
    },
    'an unknown model': async () => [['classify', waves, '--model', 'resnet50'], /resnet50.*deit-tiny/],
    'no network': async () => [['classify', waves, '--model', 'nobody/nothing'], /nobody\/nothing|127\.0\.0\.1:9/],
    'a negative keep ratio': async () => [['info', ...tiny, '--keep-ratio', '-0.5'], /--keep-ratio.*-0\.5/],
    'a keep ratio of zero': async () => [['info', ...tiny, '--keep-ratio', '0'], /--keep-ratio.*found 0/],
    'a keep ratio above 1': async () => [['info', ...tiny, '--keep-ratio', '1.5'], /--keep-ratio.*1\.5/],
    'a keep ratio in percent': async () => [
      ['info', ...tiny, '--keep-ratio', '70'],
      /--keep-ratio.*0\.7 was probably meant/,
    ],
    'a mean of values up to 255': async () => [
      ['classify', waves, ...tiny, '--mean', '127.5,127.5,127.5'],
      /--mean: .* so 0\.5,0\.5,0\.5 was probably meant/,
    ],
    'a picture smaller than its crop': async () => [
      ['classify', waves, ...tiny, '--resize', '100'],
      /resize.*224.*100/,
    ],
    'heads that do not divide the width': async () => [['info', ...tiny, '--heads', '5'], /width of 192.*5 heads/],
    'too few keep ratios': async () => [['info', ...tiny, '--keep-ratios', '1,0.5'], /12 values.*found 2/],
    'an unknown device': async () => [['classify', waves, ...tiny, '--device', 'abacus'], /--device.*cpu.*abacus/],
    'a device that is not there': async () => [['classify', waves, ...tiny, '--device', 'cuda'], /--device cuda/],
    'a batch too large for memory': async () => {
      const scenes = ['--model', 'demo', '--data', 'scenes:7:200000']
      return [['eval', ...scenes, '--batch', '200000'], /batch 200000.*memory.*lower --batch/]
    },
  }
  for (const [name, make] of Object.entries(cases)) {
    it(name, async () => {
      const [args, message] = await make()
      const { code, stdout, stderr } = await idlevit(...args)
      assert.equal(stdout, '')
      assert.match(stderr, /^error: [^\n]+\n$/)
      assert.match(stderr, message)
      assert.equal(code, 1)
    })
  }

  it('wrong usage ends with exit code 2', async () => {
    const { code, stderr } = await idlevit('classify', waves, '--frobnicate')
    assert.equal(code, 2)
    assert.match(stderr, /^error: [^\n]+--help\)\n$/)
  })
})

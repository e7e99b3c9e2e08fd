/** Commands with a model whose pictures are not square: the reference file of one, made by timm's own code. */

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import sharp from 'sharp'
import { benchmark } from '../src/bench/models.js'
import { createSession } from '../src/runtime/node.js'
import { loadModel } from '../src/weights/load.js'
import { parseSafetensors, writeSafetensors } from '../src/weights/safetensors.js'
import { runCommand } from './support/command.js'
import { temporaryFolder } from './support/folder.js'
import { golden } from './support/shared.js'

const folder = temporaryFolder()
const at = (...parts: string[]) => join(folder.path, ...parts)
const model = at('rectangular')
const pictures = at('pictures')
const list = at('list.txt')

/** Ten classes; 48 pixels high, 80 wide, 6 x 10 patches. */
const config = {
  architecture: 'vit_tiny_patch8_rectangular',
  num_classes: 10,
  model_args: { img_size: [48, 80], num_heads: 3, qkv_bias: false, reg_tokens: 2 },
  pretrained_cfg: { input_size: [3, 48, 80], crop_pct: 0.9, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
}

before(async () => {
  mkdirSync(model)
  const { state } = parseSafetensors(new Uint8Array(readFileSync(golden('vit-nobias-rect.safetensors'))))
  const weights = [...state].flatMap(([name, tensor]) =>
    name.startsWith('state.') ? [[name.slice('state.'.length), tensor] as const] : [],
  )
  writeFileSync(at('rectangular', 'model.safetensors'), Buffer.concat(writeSafetensors(new Map(weights))))
  writeFileSync(at('rectangular', 'config.json'), JSON.stringify(config))
  const lines: string[] = []
  for (const [label, count] of [3, 3].entries()) {
    mkdirSync(at('pictures', `class-${label}`), { recursive: true })
    for (let i = 0; i < count; i++) {
      const gradient = Uint8Array.from({ length: 3 * 70 * 90 }, (_, p) => (p * (2 + label + i)) % 256)
      const picture = sharp(gradient, { raw: { width: 90, height: 70, channels: 3 } }).png()
      writeFileSync(at('pictures', `class-${label}`, `${i}.png`), await picture.toBuffer())
      lines.push(`pictures/class-${label}/${i}.png ${label}`)
    }
  }
  writeFileSync(list, `${lines.join('\n')}\n`)
})

const run = async (command: string, ...args: readonly string[]) => {
  const threads = ['info', 'export'].includes(command) ? [] : ['--threads', '1']
  const outcome = await runCommand([command, ...args, ...threads])
  assert.equal(outcome.code, 0, outcome.stderr)
  return outcome
}
const json = async (command: string, ...args: readonly string[]) =>
  JSON.parse((await run(command, ...args, '--json')).stdout)
const named = (...args: readonly string[]) => ['--model', model, ...args]

describe('a model for rectangular pictures', () => {
  it('classifies, and is evaluated on, pictures that are made as timm makes them', async () => {
    const [first] = await json('classify', at('pictures', 'class-0', '0.png'), ...named('--keep-ratio', '0.7'))
    assert.equal(first.predictions.length, 5)
    const { images, preprocessing } = await json('eval', '--data', list, ...named())
    assert.equal(images, 6)
    const { resize, resizeHeight, crop, cropHeight, interpolation } = preprocessing
    assert.deepEqual([resizeHeight, resize, cropHeight, crop, interpolation], [53, 88, 48, 80, 'bilinear'])
  })

  it('runs at another size, which is told by height and width', async () => {
    const { blocks } = await json('info', ...named('--crop', '96x64'))
    assert.equal(blocks[0].tokens, 12 * 8)
    const square = await json('info', ...named('--crop', '64'))
    assert.equal(square.blocks[0].tokens, 64)
    const wrong = await runCommand(['info', ...named('--crop', '50x80')])
    assert.equal(wrong.code, 1)
    assert.match(wrong.stderr, /an image size of 50 is no multiple of the patch size 8/)
    const flat = await runCommand(['classify', pictures, ...named('--resize', '100')])
    assert.equal(flat.code, 1)
    assert.match(flat.stderr, /resize: wanted a height and a width for pictures of 48 x 80, found 100/)
  })

  it('is timed', async () => {
    const { rows } = await benchmark(await loadModel(model), {
      keepRatios: [0.5],
      batches: [2],
      precisions: ['fp32', 'int8'],
      rounds: 1,
      blockMilliseconds: 1,
      matrixSide: 16,
      threads: 1,
    })
    assert.deepEqual(
      rows.map(({ precision, macRatio = 0 }) => [precision, macRatio > 1.3]),
      [
        ['fp32', false],
        ['fp32', true],
        ['int8', true],
      ],
    )
  })

  it('is exported, with its features, and told what a preprocessor cannot say', async () => {
    const out = at('exported')
    const args = named('--keep-ratio', '0.7', '--features', '--out', out)
    const { stderr } = await runCommand(['export', ...args])
    assert.match(stderr, /warning: preprocessor_config\.json squashes pictures into the rectangle/)
    const { size, crop_size } = JSON.parse(readFileSync(join(out, 'preprocessor_config.json'), 'utf8'))
    assert.deepEqual(
      [size, crop_size],
      [
        { height: 53, width: 88 },
        { height: 48, width: 80 },
      ],
    )
    const session = await createSession(new Uint8Array(readFileSync(join(out, 'onnx', 'model.onnx'))), { threads: 1 })
    const pixels = { data: new Float32Array(3 * 48 * 80).fill(0.1), shape: [1, 3, 48, 80] }
    const { features } = await session.run({ pixel_values: pixels })
    await session.close()
    assert.deepEqual(features?.shape, [1, 63, 48])
    const again = await json('classify', at('pictures', 'class-0', '0.png'), '--model', out)
    const before = await json('classify', at('pictures', 'class-0', '0.png'), ...named('--keep-ratio', '0.7'))
    for (const [i, { score }] of again[0].predictions.entries())
      assert.ok(Math.abs(score - before[0].predictions[i].score) < 1e-5)
  })

  it('embeds tokens in raster order', async () => {
    const out = at('tokens.safetensors')
    const report = await json('embed', pictures, ...named('--tokens', '--out', out))
    assert.deepEqual([report.images, report.tokens, report.prefix], [6, 60, 3])
    const { state } = parseSafetensors(new Uint8Array(readFileSync(out)))
    assert.deepEqual(state.get('features')?.shape, [6, 60, 48])
  })

  it('is drawn as a rectangle of square tokens', async () => {
    const out = at('figures')
    const { files } = await json('visualize', at('pictures', 'class-1', '0.png'), ...named('--out', out))
    const map = files.find((file: string) => file.endsWith('tokens-05.svg')) ?? assert.fail('no map')
    const svg = readFileSync(map, 'utf8')
    assert.match(svg, /^<svg [^>]*width="80" height="48" viewBox="0 0 80 48">/)
    // Idle tokens are squares of 8 pixels at multiples of 8, inside the picture.
    const [, paper = ''] = /<path d="([^"]*)"/.exec(svg) ?? []
    const places = [...paper.matchAll(/M([\d.]+) ([\d.]+)h8v8h-8z/g)].map(([, x, y]) => [Number(x), Number(y)] as const)
    assert.ok(places.length > 10)
    for (const [x, y] of places) assert.ok(x % 8 === 0 && y % 8 === 0 && x < 80 && y < 48, `${x}, ${y}`)
    const { imageSize, imageHeight, tokens } = JSON.parse(readFileSync(join(out, 'visualize.json'), 'utf8'))
    assert.deepEqual([imageSize, imageHeight, tokens], [80, 48, 60])
  })

  it('is finetuned, augmented and all, into a folder that is again one of rectangles', async () => {
    const out = at('finetuned')
    const sizes = ['--epochs', '1', '--batch', '2', '--accumulate', '1', '--keep-ratio', '0.7']
    await run('finetune', '--data', list, '--val', list, ...named(...sizes, '--out', out))
    const { blocks } = await json('info', '--model', out, '--keep-ratio', '1')
    assert.equal(blocks[0].tokens, 60)
    const { preprocessing } = await json('eval', '--data', list, '--model', out)
    assert.deepEqual([preprocessing.cropHeight, preprocessing.crop], [48, 80])
  })
})

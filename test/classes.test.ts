/** Classes of one's own, and folders that hold other classes than the model: the built command as a user runs it. */
import assert from 'node:assert/strict'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { before, describe, it } from 'node:test'
import sharp from 'sharp'
import { scene, sceneClasses } from '../src/data/scenes/scene.js'
import { runForJson as json, runCommand } from './support/command.js'
import { temporaryFolder } from './support/folder.js'
import { needs, sharedPath } from './support/shared.js'

const folder = temporaryFolder()
const at = (...parts: string[]) => join(folder.path, ...parts)

const rightOf = async (data: string, ...model: string[]) => {
  const { images, top1, top5, loss } = await json('eval', '--data', data, ...model)
  return { images, top1, top5, loss: loss.toFixed(5) }
}

describe('a folder that holds other classes than the model', () => {
  /** Generated pictures of four of the embedded model's sixteen classes, in a list with the model's numbers. */
  const lines: string[] = []
  before(async () => {
    for (let i = 0; lines.length < 24; i++) {
      const { image, label } = scene(11, i)
      if (label % 4 !== 1) continue
      const path = join('some', sceneClasses[label] as string, `${i}.png`)
      await mkdir(at(dirname(path)), { recursive: true })
      await sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } }).toFile(at(path))
      lines.push(`${path} ${label}`)
    }
    folder.write('list.txt', lines.join('\n'))
  })

  it('gives the accuracy of the same pictures in a list', async () => {
    const list = await rightOf(at('list.txt'), '--model', 'demo')
    assert.ok(list.top1 > 8, `${list.top1} of ${list.images} right`) // chance is 2 of 24
    assert.deepEqual(await rightOf(at('some'), '--model', 'demo'), list)
  })

  it('is refused by name where a class is none of the model’s', async () => {
    await mkdir(at('strange'), { recursive: true })
    await symlink(at('some', sceneClasses[1] as string), at('strange', sceneClasses[1] as string))
    await symlink(at('some', sceneClasses[5] as string), at('strange', 'zeppelin'))
    const { code, stderr } = await runCommand(['eval', '--data', at('strange'), '--model', 'demo'])
    assert.equal(code, 1)
    assert.match(
      stderr,
      /^error: .*strange: 1 of 2 classes are none of the model's: zeppelin; demo knows 16 classes \(.*\)\n$/m,
    )
  })

  const imagenette = sharedPath('data/imagenette/val')
  const deit = sharedPath('data/weights/deit_tiny_patch16_224.safetensors')

  it('gives it for ten of a thousand classes', needs(imagenette && deit, 'imagenette'), async () => {
    const imagenetIndex: Record<string, number> = {
      ...{ 'cassette player': 482, 'chain saw': 491, church: 497, 'english springer': 217, 'french horn': 566 },
      ...{ 'garbage truck': 569, 'gas pump': 571, 'golf ball': 574, parachute: 701, tench: 0 },
    }
    const { readdir } = await import('node:fs/promises')
    const rows: string[] = []
    for (const [name, index] of Object.entries(imagenetIndex))
      for (const file of (await readdir(join(imagenette as string, name))).slice(0, 3)) {
        await mkdir(at('ten', name), { recursive: true })
        await symlink(join(imagenette as string, name, file), at('ten', name, file))
        rows.push(`${join(imagenette as string, name, file)} ${index}`)
      }
    const list = await rightOf(folder.write('ten.txt', rows.join('\n')), '--model', deit as string)
    assert.equal(list.images, 30)
    assert.ok(list.top1 > 15)
    assert.deepEqual(await rightOf(at('ten'), '--model', deit as string), list)
  })
})

describe('finetuning on classes of one’s own', () => {
  const quick = ['--batch', '4', '--accumulate', '1', '--epochs', '4', '--lr', '1e-3', '--workers', '1']

  before(async () => {
    for (const [split, first] of [
      ['train', 0],
      ['val', 100],
    ] as const)
      for (const [colour, name] of ['night', 'noon', 'dusk'].entries())
        for (let i = 0; i < (split === 'train' ? 12 : 4); i++) {
          const { image } = scene(3, first + i)
          const data = image.data.map((value) => (value >> 1) + 60 * colour)
          await mkdir(at(split, name), { recursive: true })
          await sharp(data, { raw: { width: image.width, height: image.height, channels: 3 } }).toFile(
            at(split, name, `${i}.png`),
          )
        }
    // A validation set that lacks a class must be read with the training set's classes.
    await mkdir(at('val-two'), { recursive: true })
    for (const name of ['night', 'noon']) await symlink(at('val', name), at('val-two', name))
  })

  it('trains a new head, named by the folders, that eval and classify use', async () => {
    const { best, stderr } = await json(
      ...['finetune', '--model', 'demo', '--data', at('train'), '--val', at('val-two'), '--out', at('own')],
      ...['--keep-ratio', '0.7', ...quick],
    )
    assert.match(stderr, /train: it has 3 classes of its own: a new head of 3 \(demo has 16\)/)
    assert.match(stderr, /teacher demo: its classes are others, so its features are distilled and its answers are not/)
    assert.equal(best.images, 8)
    assert.ok(best.top1 >= 6, `${best.top1} of 8 right`)
    const { id2label } = JSON.parse(await readFile(at('own', 'config.json'), 'utf8'))
    assert.deepEqual(id2label, { 0: 'dusk', 1: 'night', 2: 'noon' })
    const two = await rightOf(at('val-two'), '--model', at('own'))
    assert.equal(two.top1, best.top1)
    const { stdout } = await runCommand(['classify', at('val', 'noon', '0.png'), '--model', at('own'), '--json'])
    assert.ok(['dusk', 'night', 'noon'].includes(JSON.parse(stdout)[0].predictions[0].label))
  })

  it('keeps the head when told to, and then refuses classes that the model does not know', async () => {
    const { code, stderr } = await runCommand([
      ...[
        'finetune',
        '--model',
        'demo',
        '--data',
        at('train'),
        '--val',
        at('val'),
        '--out',
        at('kept'),
        '--head',
        'keep',
      ],
    ])
    assert.equal(code, 1)
    assert.match(stderr, /error: .*train: 3 of 3 classes are none of the model's: dusk, night, noon; demo knows 16/)
  })

  it('takes names and number from --labels and --classes for data that only has numbers', async () => {
    const rows = ['night', 'noon', 'dusk'].flatMap((name, label) =>
      Array.from({ length: 12 }, (_, i) => `train/${name}/${i}.png ${label}`),
    )
    await writeFile(at('names.txt'), 'a\nb\nc\nd\n')
    await json(
      ...['finetune', '--model', 'demo', '--data', folder.write('numbers.txt', rows.join('\n'))],
      ...['--val', at('numbers.txt'), '--out', at('numbered'), '--labels', at('names.txt'), '--classes', '4', ...quick],
    )
    const { id2label } = JSON.parse(await readFile(at('numbered', 'config.json'), 'utf8'))
    assert.deepEqual(Object.values(id2label), ['a', 'b', 'c', 'd'])
  })
})

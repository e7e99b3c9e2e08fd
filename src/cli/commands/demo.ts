/**
 * `idlevit demo`: token idling at work on a generated picture.
 *
 * The weights are seeded random numbers, so the labels mean nothing; cost, speed and the choice of tokens are real.
 */

import type { Command } from 'commander'
import type { BlockSelection } from '../../runtime/classifier.js'
import { emit, table } from '../output.js'

const KEEP_RATIOS = [1, 0.9, 0.7, 0.5]
const BATCH = 8
const ROUNDS = 5

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('idle a randomly initialised DeiT-Tiny on a generated picture and time it')
    .option('--json', 'one JSON document on stdout')
    .action(demo)
}

async function demo(options: { readonly json?: boolean }): Promise<void> {
  const [{ loadModel }, { openNodeClassifier }, { modelCost }, { imagenetPreprocess, normalise }] = await Promise.all([
    import('../../weights/load.js'),
    import('../../runtime/node.js'),
    import('../../models/cost.js'),
    import('../../images/preprocess.js'),
  ])
  const model = await loadModel('deit-tiny', { init: 'random:0' })
  const side = model.config.imageSize
  const picture = normalise(rings(side), imagenetPreprocess(side)) // [3, S, S]
  const batch = new Float32Array(BATCH * picture.length) // [B, 3, S, S]
  for (let b = 0; b < BATCH; b++) batch.set(picture, b * picture.length)

  const runs = []
  for (const keepRatio of KEEP_RATIOS) {
    const classifier = await openNodeClassifier(model, { keepRatio, method: keepRatio === 1 ? 'none' : 'idle' })
    await classifier.forward(batch)
    runs.push({ keepRatio, classifier, seconds: [] as number[] })
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const { classifier, seconds } of runs) {
      const start = performance.now()
      await classifier.forward(batch)
      seconds.push((performance.now() - start) / 1000)
    }
  }
  const rows = runs.map(({ keepRatio, classifier, seconds }) => ({
    keepRatio,
    gmacs: modelCost(model.config, classifier.plan).macs / 1e9,
    imagesPerSecond: BATCH / median(seconds),
  }))
  const traced = await openNodeClassifier(model, { keepRatio: 0.7, trace: true })
  const { selections } = await traced.forward(picture)
  await Promise.all([...runs.map(({ classifier }) => classifier.close()), traced.close()])

  emit(options.json, { model: 'deit-tiny with random weights', rows }, () => {
    const [dense] = rows
    process.stdout.write('DeiT-Tiny with random weights (seed 0) on a generated picture: the labels would mean\n')
    process.stdout.write('nothing; cost, speed and the choice of tokens are real.\n\n')
    table([
      ['keep ratio', 'GMACs', 'images/s', 'speed-up'],
      ...rows.map(({ keepRatio, gmacs, imagesPerSecond }) => [
        keepRatio,
        gmacs.toFixed(3),
        imagesPerSecond.toFixed(1),
        `${(imagesPerSecond / (dense?.imagesPerSecond ?? Number.NaN)).toFixed(2)}x`,
      ]),
    ])
    process.stdout.write('\nTokens at keep ratio 0.7: # selected and computed, . idle\n\n')
    process.stdout.write(tokenMaps(selections?.[0] ?? [], side / model.config.patchSize, [3, 6, 9, 11]))
  })
}

/** Coloured rings on a gradient, 8-bit RGB [S, S, 3]. */
function rings(side: number): Uint8Array {
  const rgb = new Uint8Array(side * side * 3)
  for (let y = 0, at = 0; y < side; y++) {
    for (let x = 0; x < side; x++, at += 3) {
      const radius = Math.hypot(x - 0.62 * side, y - 0.4 * side)
      const inside = radius < side / 4
      rgb[at] = inside ? 230 - (radius % 24) * 6 : (160 * x) / side
      rgb[at + 1] = inside ? 90 + (radius % 24) * 4 : (140 * y) / side
      rgb[at + 2] = inside ? 60 : 120
    }
  }
  return rgb
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Grids of some blocks side by side. */
function tokenMaps(selections: readonly BlockSelection[], grid: number, blocks: readonly number[]): string {
  const shown = selections.filter(({ block }) => blocks.includes(block))
  const header = shown.map(({ block }) => `block ${block}`.padEnd(grid)).join('   ')
  const lines = Array.from({ length: grid }, (_, y) =>
    shown.map(({ selected }) => gridRow(new Set(selected), grid, y)).join('   '),
  )
  return `${[header, ...lines].join('\n')}\n`
}

const gridRow = (selected: ReadonlySet<number>, grid: number, y: number): string =>
  Array.from({ length: grid }, (_, x) => (selected.has(y * grid + x) ? '#' : '.')).join('')

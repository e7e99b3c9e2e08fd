/**
 * Memory of `embed` while it goes through many pictures: `node --import tsx bench/embed-memory.ts [PICTURES]`.
 *
 * A tiny model, so that the pictures are what counts; resident memory of the whole process, decoding threads included, after
 * every picture, as the mean and the most of each thousand.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDataset } from '../src/data/open.js'
import { embedPictures } from '../src/embed/embed.js'
import { imagenetPreprocess } from '../src/images/preprocess.js'
import type { VitConfig } from '../src/models/config.js'
import { openNodeClassifier } from '../src/runtime/node.js'
import { randomVit } from '../src/weights/init.js'

const pictures = Number(process.argv[2] ?? 10_000)
const config: VitConfig = {
  imageSize: 32,
  patchSize: 8,
  width: 48,
  depth: 4,
  heads: 2,
  hidden: 96,
  classes: 0,
  distilled: false,
  layerNormEps: 1e-6,
}
const folder = await mkdtemp(join(tmpdir(), 'embed-memory-'))
const classifier = await openNodeClassifier(
  { name: 'tiny', config, state: randomVit(config, 0) },
  { keepRatio: 0.7, features: true, threads: 1 },
)
const dataset = await openDataset(`scenes:1:${pictures}`)
/** Megabytes by thousand of pictures. */
const samples: number[][] = []
try {
  const report = await embedPictures(classifier, dataset, {
    out: join(folder, 'features.npy'),
    preprocess: imagenetPreprocess(config.imageSize),
    batch: 16,
    onProgress(done) {
      const thousand = Math.floor((done - 1) / 1000)
      const sampled = samples[thousand] ?? []
      samples[thousand] = sampled
      sampled.push(process.memoryUsage.rss() / 1e6)
    },
  })
  console.log(`${report.images} pictures, ${report.imagesPerSecond.toFixed(0)} a second; resident memory, MB\n`)
  console.log('| pictures | mean | most |\n| --- | --- | --- |')
  for (const [i, values] of samples.entries()) {
    const mean = values.reduce((a, b) => a + b, 0) / values.length
    console.log(
      `| ${1000 * i + 1}–${Math.min(1000 * (i + 1), pictures)} | ${mean.toFixed(0)} | ${Math.max(...values).toFixed(0)} |`,
    )
  }
} finally {
  await classifier.close()
  await dataset.close()
  await rm(folder, { recursive: true, force: true })
}

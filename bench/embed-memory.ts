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
console.log('resident memory, MB\n\n| pictures | mean | most |\n| --- | --- | --- |')
let [from, megabytes] = [0, [] as number[]]
try {
  const report = await embedPictures(classifier, dataset, {
    out: join(folder, 'features.npy'),
    preprocess: imagenetPreprocess(config.imageSize),
    batch: 16,
    onProgress(done) {
      megabytes.push(process.memoryUsage.rss() / 1e6)
      if (done - from < 1000 && done < pictures) return
      const mean = megabytes.reduce((a, b) => a + b, 0) / megabytes.length
      console.log(`| ${from + 1}–${done} | ${mean.toFixed(0)} | ${Math.max(...megabytes).toFixed(0)} |`)
      ;[from, megabytes] = [done, []]
    },
  })
  console.log(`\n${report.images} pictures, ${report.imagesPerSecond.toFixed(0)} a second`)
} finally {
  await classifier.close()
  await dataset.close()
  await rm(folder, { recursive: true, force: true })
}

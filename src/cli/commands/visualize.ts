/** `idlevit visualize IMAGE… --out DIR` */

import { basename, join } from 'node:path'
import type { Command } from 'commander'
import { fail } from '../../errors.js'
import { schedulingSetting } from '../../reduction/registry.js'
import { addExamples } from '../help.js'
import {
  addOptions,
  addRequired,
  modelOptions,
  pictureOptions,
  type SharedOptions,
  singleNetMethod,
} from '../options.js'
import { emit, startProgress, warn } from '../output.js'
import { text, whole } from '../values.js'

interface VisualizeOptions extends SharedOptions {
  readonly out: string
  readonly limit: number
}

/** What is drawn when neither the options nor the model's folder say how many tokens idle. */
const KEEP_RATIO = 0.7

export function addVisualize(program: Command): void {
  const command = addRequired(
    program
      .command('visualize')
      .description('draw which tokens idle, attention maps and over-smoothing: an HTML page and its figures')
      .argument('<image...>', 'picture files, folders or globs'),
    '--out <DIR>',
    'folder for the page and its figures: new, empty, or with earlier ones',
    text('a path'),
  ).option('--limit <N>', 'only the first N pictures', (given) => whole(1)(given, '--limit'), 12)
  addOptions(command, [...modelOptions, 'labels', ...pictureOptions, 'device', 'threads'], {
    required: ['model'],
    otherwise: { keepRatio: `the model's, or ${KEEP_RATIO}`, method: 'idle' },
  }).action(visualize)
  addExamples(
    command,
    ['idlevit visualize photo.jpg --model demo --out figures', 'the embedded model'],
    ['idlevit visualize photo.jpg --model deit-tiny --keep-ratio 0.5 --out figures', 'fewer tokens'],
    ['idlevit visualize holiday/ --model deit-tiny --limit 4 --out figures', 'the first four of a folder'],
  )
}

async function visualize(images: string[], options: VisualizeOptions): Promise<void> {
  const [
    { expandPictures, pictureNamed },
    { readImage },
    { cropPicture },
    setup,
    folder,
    { liesIn },
    { visualizationNames },
    analysis,
  ] = await Promise.all([
    import('../../data/pictures.js'),
    import('../../images/read.js'),
    import('../../images/preprocess.js'),
    import('../setup.js'),
    import('../../analysis/folder.js'),
    import('../../folders.js'),
    import('../../analysis/visualization.js'),
    import('../../analysis/visualize.js'),
  ])
  const { out, limit } = options
  await folder.checkFolder(out, visualizationNames)
  const { pictures: found, leftOut } = await expandPictures(images)
  setup.tellLeftOut(leftOut)
  const paths = found.slice(0, limit)
  if (found.length > limit) warn(`only the first ${limit} of ${found.length} pictures are drawn; --limit N takes more`)

  for (const path of paths)
    if (await liesIn(path, out)) fail(`${out}: holds ${path}, which would be replaced; choose another --out`)
  const model = await setup.openModel(options)
  const preprocess = setup.preprocessFor(options, model)
  async function* pictures() {
    for (const path of paths) {
      const image = await readImage(pictureNamed(path), {}, path)
      yield { name: basename(path), rgb: cropPicture(image, preprocess) } // [S, S, 3]
    }
  }
  const asked = setup.classifierOptions(options, model)
  const open = [asked.keepRatio, asked.keepRatios, asked.keepTokens].every((value) => value === undefined)
  const asksNothing = options.method !== 'none' && schedulingSetting(asked) === undefined
  const progress = startProgress('visualizing', 2 * paths.length)
  try {
    const files = await analysis.visualizePictures(model, pictures(), {
      ...asked,
      ...(open &&
        asksNothing && { keepRatio: KEEP_RATIO, method: singleNetMethod(options) ?? model.idle?.method ?? 'idle' }),
      preprocess,
      onWarning: warn,
      onPicture: (done, name) => progress.update(done, name),
      onDrawn: (done) => progress.update(paths.length + done, 'drawing'),
    })
    const written = await folder.writeFolder(out, files, visualizationNames)
    progress.stop()
    emit(options.json, { out, files: written }, () => {
      process.stdout.write(`${join(out, 'index.html')}\n${written.length} files in ${out}\n`)
    })
  } finally {
    progress.stop()
  }
}

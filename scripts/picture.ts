/**
 * The picture on top of the README: a generated scene through the embedded model, block by block.
 *
 *   npm run picture        # writes docs/images/tokens.png
 *
 * Letters are drawn with the fonts of the machine; everything else is the same on every machine.
 */
import sharp from 'sharp'
import { openInspector } from '../src/analysis/inspect.js'
import { jpeg } from '../src/analysis/maps.js'
import { tokenMarks } from '../src/analysis/marks.js'
import { countStates, type TokenState } from '../src/analysis/tokens.js'
import { scene, sceneSeeds } from '../src/data/scenes/scene.js'
import { normalise, preprocessOf } from '../src/images/preprocess.js'
import { inks, surfaces } from '../src/page/palette.js'
import { createSession } from '../src/runtime/node.js'
import { loadModel } from '../src/weights/load.js'

const OUT = 'docs/images/tokens.png'
/** Which of the test scenes: one whose object idles in part and comes back. */
const SCENE = 25
const KEEP_RATIO = 0.5

/** Sizes in pixels, for screens with two of them in each of theirs. */
const TILE = 240
const GAP = 18
const EDGE = 36
const LETTERS = 27
const SWATCH = 34

const model = await loadModel('demo')
const pixels = new Uint8Array(scene(sceneSeeds.test, SCENE).image.data) // [S, S, 3]
const inspector = await openInspector(model, { keepRatio: KEEP_RATIO }, createSession)
const { tokens, predictions } = await inspector.inspect(normalise(pixels, preprocessOf(model)))
await inspector.close()

const { imageSize } = model.config
const photo = Buffer.from(await jpeg(pixels, imageSize)).toString('base64')
const firstIdle = tokens.findIndex((states) => states.includes('idle'))
const shown = tokens.slice(firstIdle - 1).map((states, i) => ({ states, block: firstIdle - 1 + i }))

const width = 2 * EDGE + shown.length * TILE + (shown.length - 1) * GAP
const below = EDGE + TILE
const height = below + 4.1 * LETTERS + SWATCH + EDGE
const font = 'font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"'
const text = (x: number, y: number, content: string, { bold = false, soft = false } = {}) =>
  `<text x="${x}" y="${y}" ${font} font-size="${bold || !soft ? LETTERS : LETTERS - 2}"${bold ? ' font-weight="bold"' : ''} fill="${(soft ? inks.soft : inks.ink).light}">${content}</text>`
const picture = (x: number, y: number, side: number, marks: string, clip = '') =>
  `<svg x="${x}" y="${y}" width="${side}" height="${side}" viewBox="${clip || `0 0 ${imageSize} ${imageSize}`}">${marks}</svg>`

const tiles = shown.map(({ states, block }, i) => {
  const x = EDGE + i * (TILE + GAP)
  const name = block === firstIdle - 1 && block > 0 ? `blocks 0–${block}` : `block ${block}`
  const { idle } = countStates(states)
  const computed = idle === 0 ? `all ${states.length} tokens` : `${states.length - idle} computed`
  return [
    picture(
      x,
      EDGE,
      TILE,
      `<image href="data:image/jpeg;base64,${photo}" width="${imageSize}" height="${imageSize}"/>${tokenMarks(states, imageSize)}`,
    ),
    text(x, below + 1.4 * LETTERS, name, { bold: true }),
    text(x, below + 2.65 * LETTERS, computed, { soft: true }),
  ].join('')
})

const words: readonly (readonly [TokenState, string, number])[] = [
  ['selected', 'computed', 0],
  ['idle', 'idle: skipped, passes by unchanged', 250],
  ['returned', 'back: idled in the block before, computed here', 860],
]
const y = below + 3.8 * LETTERS
const legend = words.map(([state, label, at]) => {
  const sky = '<path d="M0 0h20v20h-20z" fill="#7ec4d6"/>'
  return (
    picture(EDGE + at, y, SWATCH, sky + tokenMarks([state], 20), '0 0 20 20') +
    text(EDGE + at + SWATCH + 14, y + SWATCH - 8, label)
  )
})

const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
<rect width="100%" height="100%" rx="20" fill="${surfaces.page.light}"/>${tiles.join('')}${legend.join('')}</svg>`
await sharp(Buffer.from(svg)).png({ palette: true, quality: 95, effort: 8 }).toFile(OUT)
if (!predictions) throw new Error('the embedded model has a head')
process.stdout.write(
  `${OUT}: ${predictions.idle.label}, ${(100 * predictions.idle.score).toFixed(0)} % at keep ratio ${KEEP_RATIO} (dense: ${predictions.dense.label})\n`,
)

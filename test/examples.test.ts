/**
 * Programs that README and docs print compile in strict mode against the built types, and run, as printed. (Their links
 * and command lines: docs.test.ts.)
 */

import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { createProgram } from '../src/cli/program.js'
import { sceneClasses } from '../src/data/scenes/scene.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { runCommand } from './support/command.js'
import { documents, fencedBlocks, inlineCode } from './support/documents.js'
import { type TemporaryFolder, temporaryFolder } from './support/folder.js'
import { runIn } from './support/packed.js'
import { drawn, writePhoto } from './support/photo.js'
import { pageLogs, serveFolder } from './support/static.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const blocks = documents().flatMap(fencedBlocks)

/** What is done with a block of a language; every language that is used must be here. */
const kinds: Readonly<Record<string, 'program' | 'page' | 'shell' | 'data' | 'installed'>> = {
  ts: 'program',
  js: 'program',
  sh: 'shell',
  console: 'shell',
  html: 'page',
  tsx: 'installed', // package.test.ts
  json: 'data',
  yaml: 'data',
}
const ofKind = (kind: string) => blocks.filter(({ language }) => kinds[language] === kind)

it('every fenced block is of a language that is tested here', () => {
  const unknown = blocks.filter(({ language }) => !Object.hasOwn(kinds, language))
  assert.deepEqual(
    unknown.map(({ place, language }) => `${place}: ${language}`),
    [],
  )
  assert.ok(ofKind('program').length > 0 && ofKind('shell').length > 0)
})

/** A file of this project, as a page for contributors shows it: method-example.test.ts compiles and runs it. */
const isSource = (text: string) => /from '\.\.?\//.test(text)

const programs = blocks
  .filter(({ language, text }) => kinds[language] === 'program' && !isSource(text))
  .map((block, i) => ({ ...block, name: `example-${i}`, forBrowsers: /from 'idlevit'/.test(block.text) }))

/** A project that uses the built package; in it a picture, the embedded model, and the folders that pages export. */
async function project(): Promise<TemporaryFolder> {
  const folder = temporaryFolder()
  const modules = join(folder.path, 'node_modules')
  mkdirSync(modules)
  symlinkSync(root, join(modules, 'idlevit'))
  for (const name of ['@huggingface', '@types', 'onnxruntime-web'])
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  folder.write('package.json', JSON.stringify({ type: 'module' }))
  await writePhoto(join(folder.path, 'photo.jpg'))
  symlinkSync(join(root, 'models/scenes-idle'), join(folder.path, 'scenes-idle'))
  const exported = join(folder.path, 'exported')
  const args = ['export', '--model', 'demo', '--precision', 'fp32,int8', '--out', exported]
  const { code, stderr } = await runCommand(args)
  assert.equal(code, 0, stderr)
  // The names that the pages export under.
  for (const { text } of programs)
    for (const [, name = ''] of text.matchAll(/pipeline\('image-classification', '([\w-]+)'/g))
      if (!existsSync(join(folder.path, name))) symlinkSync(exported, join(folder.path, name))
  return folder
}

it('programs compile in strict mode and run as printed', async (t) => {
  const folder = await project()
  for (const { name, language, text } of programs) folder.write(`${name}.${language}`, text)

  await t.test('TypeScript compiles', async () => {
    const options = {
      strict: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      target: 'es2022',
      module: 'nodenext',
      lib: ['es2023', 'dom', 'dom.iterable'],
      types: ['node'],
    }
    folder.write('tsconfig.json', JSON.stringify({ compilerOptions: options, include: ['example-*.ts'] }))
    const { code, stdout } = await runIn(folder.path, process.execPath, [join(root, 'node_modules/typescript/bin/tsc')])
    const places = stdout.replaceAll(/example-(\d+)\.ts/g, (_, i) => programs[i]?.place ?? '')
    assert.equal(code, 0, places)
  })

  for (const { name, language, place, text, forBrowsers } of programs) {
    await t.test(`${place} runs`, forBrowsers ? needsChromium : {}, async () => {
      const outdir = join(folder.path, `${name}-out`)
      const built = { outdir, format: 'esm' as const }
      const entry = { in: join(folder.path, `${name}.${language}`), out: name }
      if (!forBrowsers) {
        await build({ ...built, entryPoints: [entry] })
        copyFileSync(join(outdir, `${name}.js`), join(folder.path, `${name}.mjs`))
        const { code, stdout, stderr } = await runIn(folder.path, process.execPath, [`${name}.mjs`])
        assert.equal(code, 0, stderr)
        if (text.includes('classify')) assert.ok(stdout.includes(sceneClasses[drawn.label] ?? '?'), stdout)
        return
      }
      const worker = { in: join(root, 'dist/browser/worker.js'), out: 'worker' }
      await build({ ...built, entryPoints: [entry, worker], bundle: true, splitting: true })
      for (const file of ['photo.jpg', 'scenes-idle']) symlinkSync(join(folder.path, file), join(outdir, file))
      const runtime = 'ort-wasm-simd-threaded.wasm'
      symlinkSync(join(root, 'node_modules/onnxruntime-web/dist', runtime), join(outdir, runtime))
      writeFileSync(join(outdir, 'index.html'), `<!doctype html><script type="module" src="${name}.js"></script>`)
      await answers(outdir)
    })
  }

  for (const { place, text } of ofKind('page'))
    await t.test(`${place} runs`, needsChromium, async () => {
      folder.write('index.html', text)
      await answers(folder.path)
    })
})

/** The page of a folder names what is in the picture. */
async function answers(folder: string): Promise<void> {
  const site = await serveFolder(folder)
  const browser = await launchChromium()
  try {
    const [best] = (await pageLogs(browser, site.url, 1)) as { label: string }[]
    assert.equal(best?.label, sceneClasses[drawn.label])
  } finally {
    await browser.close()
    site.close()
  }
}

it('options named in running text exist', () => {
  const { commands } = createProgram('--help')
  const known = new Set(['--help', '--version', ...commands.flatMap((c) => c.options.map(({ long }) => long))])
  const faults: string[] = []
  for (const path of documents().filter((name) => !name.startsWith('docs/notebook/')))
    for (const code of inlineCode(path)) {
      const isOurs = /^(?:npx )?(?:idlevit |--[a-z])/.test(code)
      for (const [option] of isOurs ? code.matchAll(/(?<!\S)--[a-z][\w-]*/g) : [])
        if (!known.has(option)) faults.push(`${path}: ${code}`)
    }
  assert.deepEqual(faults, [])
})

it('scripts and files that shell blocks start exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }
  const faults: string[] = []
  for (const { place, text } of ofKind('shell'))
    for (const line of text.split('\n')) {
      for (const [, name = ''] of line.matchAll(/\bnpm run ([\w-]+)/g))
        if (!Object.hasOwn(scripts, name)) faults.push(`${place}: npm run ${name}`)
      for (const [file] of line.matchAll(/(?<!\S)(?:bench|scripts|src|test)\/\S+\.ts\b/g))
        if (!existsSync(join(root, file))) faults.push(`${place}: ${file}`)
    }
  assert.deepEqual(faults, [])
})

/**
 * What README and docs print works as printed: TypeScript compiles in strict mode against the built types, programs run,
 * command lines are understood by the commands.
 */

import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Command, CommanderError } from 'commander'
import { build } from 'esbuild'
import { sceneClasses } from '../src/data/scenes/scene.js'
import { launchChromium, needsChromium } from './support/chromium.js'
import { runCommand } from './support/command.js'
import { commandLines, documents, fencedBlocks, inlineCode, readDocument } from './support/documents.js'
import { type TemporaryFolder, temporaryFolder } from './support/folder.js'
import { runIn } from './support/packed.js'
import { drawn, writePhoto } from './support/photo.js'
import { pageLogs, serveFolder } from './support/static.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const blocks = documents().flatMap(fencedBlocks)

/** What is done with a block of a language; every language that is used must be here. */
const kinds: Readonly<Record<string, 'program' | 'shell' | 'data'>> = {
  ts: 'program',
  js: 'program',
  sh: 'shell',
  console: 'shell',
  '': 'shell',
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

it('links between the documents lead somewhere', () => {
  const anchor = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\- _]/gu, '')
      .replaceAll(' ', '-')
  const broken = documents().flatMap((path) =>
    [...readDocument(path).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(([link, file, section]) => {
      const target = file ? join(dirname(path), file) : path
      if (!existsSync(join(root, target))) return [`${path}: ${link}`]
      if (section === undefined) return []
      const headings = [...readDocument(target).matchAll(/^#+ +(.+)$/gm)].map(([, text = '']) => anchor(text))
      return headings.includes(section) ? [] : [`${path}: ${link}`]
    }),
  )
  assert.deepEqual(broken, [])
})

// ---------------------------------------------------------------------------------------------------------------------

/** A project that uses the built package; in it a picture, the embedded model, and an exported folder. */
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
  const out = ['--out', join(folder.path, 'deit-small-idle')]
  const exported = await runCommand(['export', '--model', 'demo', '--precision', 'fp32,int8', ...out])
  assert.equal(exported.code, 0, exported.stderr)
  return folder
}

const programs = blocks
  .filter(({ language }) => kinds[language] === 'program')
  .map((block, i) => ({ ...block, name: `example-${i}`, forBrowsers: /from 'idlevit'/.test(block.text) }))

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
      const built = { entryPoints: [join(folder.path, `${name}.${language}`)], outdir, format: 'esm' as const }
      if (!forBrowsers) {
        await build(built)
        copyFileSync(join(outdir, `${name}.js`), join(folder.path, `${name}.mjs`))
        const { code, stdout, stderr } = await runIn(folder.path, process.execPath, [`${name}.mjs`])
        assert.equal(code, 0, stderr)
        if (text.includes('classify')) assert.ok(stdout.includes(sceneClasses[drawn.label] ?? '?'), stdout)
        return
      }
      await build({ ...built, bundle: true, splitting: true })
      for (const file of ['photo.jpg', 'scenes-idle']) symlinkSync(join(folder.path, file), join(outdir, file))
      const runtime = 'ort-wasm-simd-threaded.jsep.wasm'
      symlinkSync(join(root, 'node_modules/onnxruntime-web/dist', runtime), join(outdir, runtime))
      writeFileSync(join(outdir, 'index.html'), `<!doctype html><script type="module" src="${name}.js"></script>`)
      const site = await serveFolder(outdir)
      const browser = await launchChromium()
      try {
        const [best] = (await pageLogs(browser, site.url, 1)) as { label: string }[]
        assert.equal(best?.label, sceneClasses[drawn.label])
      } finally {
        await browser.close()
        site.close()
      }
    })
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** The commands as users get them, except that they do nothing. */
async function commandLine(): Promise<Command> {
  const program = new Command('idlevit').version('0')
  const folder = join(root, 'src/cli/commands')
  for (const file of readdirSync(folder).filter((name) => /(?<!\.test)\.ts$/.test(name))) {
    const module = (await import(pathToFileURL(join(folder, file)).href)) as Record<string, unknown>
    for (const [name, add] of Object.entries(module))
      if (/^add[A-Z]/.test(name) && typeof add === 'function') add(program)
  }
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} })
  for (const command of program.commands) command.action(() => {})
  return program
}

/** What the command line says against words that follow `idlevit`; undefined where it understands them. */
async function complaint(args: readonly string[]): Promise<{ code: string; message: string } | undefined> {
  const program = await commandLine()
  try {
    await program.parseAsync([...args], { from: 'user' })
    return undefined
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return undefined // --help, --version
    return { code: error instanceof CommanderError ? error.code : '', message: (error as Error).message }
  }
}

/** The words behind `idlevit`, or undefined for another program. */
const behindIdlevit = (command: readonly string[]): readonly string[] | undefined => {
  const [first, second] = command
  if (first === 'idlevit') return command.slice(1)
  return first === 'npx' && second === 'idlevit' ? command.slice(2) : undefined
}

it('command lines are understood by the commands', async () => {
  const faults: string[] = []
  let seen = 0
  for (const block of ofKind('shell')) {
    // What is printed in brackets may be left out; here it is not.
    const text = block.text.replaceAll(/\[(--[^\]]*)\]/g, '$1')
    for (const command of commandLines({ ...block, text })) {
      const args = behindIdlevit(command)
      if (args === undefined) continue
      seen++
      const found = await complaint(args)
      if (found) faults.push(`${block.place}: ${command.join(' ')}: ${found.message}`)
    }
  }
  assert.deepEqual(faults, [])
  assert.ok(seen > 10, `${seen} command lines`)
})

it('commands and options named in running text exist', async () => {
  const { commands } = await commandLine()
  const options = new Set(['--help', '--version', ...commands.flatMap((c) => c.options.map(({ long }) => long))])
  const faults: string[] = []
  for (const path of documents().filter((name) => !name.startsWith('docs/notebook/')))
    for (const code of inlineCode(path)) {
      const [option] = /^--[a-z][\w-]*/.exec(code) ?? []
      if (option !== undefined && !options.has(option)) faults.push(`${path}: ${code}`)
      const args = behindIdlevit(code.split(/\s+/))
      const found = args && (await complaint(args))
      // A command in a sentence need not be complete.
      if (found && /unknown/.test(found.code)) faults.push(`${path}: ${code}: ${found.message}`)
    }
  assert.deepEqual(faults, [])
})

it('scripts and files that shell blocks start exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const faults: string[] = []
  for (const block of ofKind('shell'))
    for (const command of commandLines(block)) {
      const [program, verb, name = ''] = command
      if (program === 'npm' && verb === 'run' && !Object.hasOwn(scripts, name))
        faults.push(`${block.place}: npm run ${name}`)
      for (const word of program === 'npx' && verb === 'esbuild' ? [] : command)
        if (/^[\w-].*\.ts$/.test(word) && !existsSync(join(root, word))) faults.push(`${block.place}: ${word}`)
    }
  assert.deepEqual(faults, [])
})

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

it('what `idlevit` exports needs nothing of Node', async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(new URL('../src/index.ts', import.meta.url))],
    bundle: true,
    format: 'esm',
    platform: 'browser', // an import of node:… or of a native module is an error
    external: ['onnxruntime-web'],
    minify: true,
    metafile: true,
    write: false,
    logLevel: 'silent',
  })
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path))
  assert.deepEqual([...new Set(imports)].sort(), ['onnxruntime-web', 'onnxruntime-web/wasm'])
  const bytes = outputFiles[0]?.contents.length ?? 0
  assert.ok(bytes > 10_000 && bytes < 400_000, `${bytes} bytes`) // no charts, no tables of synonyms
})

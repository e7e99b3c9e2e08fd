/** Compiles `src/images/resample.wat` into `src/images/resample-wasm.ts`: `npm run wasm`. */

import { readFileSync, writeFileSync } from 'node:fs'
import wabt from 'wabt'

const source = new URL('../src/images/resample.wat', import.meta.url)

/** The module as base64. */
export async function compile(): Promise<string> {
  const { parseWat } = await wabt()
  const { buffer } = parseWat('resample.wat', readFileSync(source), { simd: true }).toBinary({})
  return Buffer.from(buffer).toString('base64')
}

if (process.argv[1]?.endsWith('wasm.ts')) {
  const text = `/** Compiled from resample.wat by \`npm run wasm\`; not edited by hand. */\n\nexport const resampleModule =\n  '${await compile()}'\n`
  writeFileSync(new URL('../src/images/resample-wasm.ts', import.meta.url), text)
}

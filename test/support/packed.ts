/** The package as its users get it: packed, and installed in an empty project from the npm registry alone. */

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** How a program ended and what it printed. */
export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** What npm gives to the scripts that it runs and another npm would take for its own settings. */
const inherited = /^npm_(config_(?!registry|cache|userconfig|cafile)|package_|lifecycle_|command$|execpath$)/i

/**
 * Runs a program in a folder. onnxruntime-node's install script finds no way to its host, as behind a firewall; everything
 * else goes where it always does.
 */
export function runIn(folder: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !inherited.test(name) && !/^ONNXRUNTIME_NODE/.test(name))
  const surroundings = { ...Object.fromEntries(kept), GLOBAL_AGENT_HTTPS_PROXY: 'http://127.0.0.1:9', ...env }
  return new Promise<Ran>((resolve) => {
    const options = { cwd: folder, env: surroundings, maxBuffer: 2 ** 26 }
    execFile(program, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })
}

/** What `npm pack` made. */
export interface Packed {
  readonly tarball: string
  /** Paths in the tarball. */
  readonly files: readonly string[]
}

/**
 * Packs the package, as built, into a folder: from a copy without scripts, since npm 10 builds before it packs, whatever
 * it is told, and other tests need what was built.
 */
export async function pack(folder: string): Promise<Packed> {
  const copy = join(folder, 'copy')
  const left = new Set(['node_modules', '.git', '.npmrc', '.cache'])
  cpSync(root, copy, { recursive: true, filter: (path) => !left.has(basename(path)) })
  const { scripts: _, ...manifest } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  writeFileSync(join(copy, 'package.json'), JSON.stringify(manifest))
  const { code, stdout, stderr } = await runIn(copy, 'npm', ['pack', '--json', '--pack-destination', folder])
  if (code !== 0) throw new Error(stderr)
  // An array in npm 10 and 11, by name from 12 on.
  const answer: unknown = JSON.parse(stdout)
  const [entry] = Object.values(answer as object) as { filename: string; files: { path: string }[] }[]
  if (!entry) throw new Error(`npm pack: no package in ${stdout}`)
  return { tarball: join(folder, entry.filename), files: entry.files.map(({ path }) => path) }
}

/** Writes the manifest of an empty project into a new folder. */
export function emptyProject(folder: string): string {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'fresh', private: true, type: 'module' }))
  return folder
}

/** Why npm could not reach its registry; undefined when it could, or failed for another reason. */
export const unreachable = ({ code, stderr }: Ran): string | undefined =>
  code === 0
    ? undefined
    : /npm error code (E(?:NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT|NETUNREACH|HOSTUNREACH|503))/.exec(stderr)?.[1]

/**
 * Folders of results: files enter them all at once or not at all, and nothing leaves that is not ours.
 *
 * A folder is never moved or replaced itself: it may be a link, a mount point, or where the user's shell is. New files
 * are written to a hidden folder inside it, on the same disk, and change places with old ones by renaming.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, realpath, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { unbroken } from './ending.js'
import { fail, InputError } from './errors.js'
import { fileError } from './files.js'

const STAGE = '.idlevit-'

/**
 * The names in a folder, sorted; none where there is no folder yet. What a killed process left of its hidden folder does
 * not count.
 *
 * @throws InputError when it is a file or cannot be read
 */
export async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT')
      return isLink(folder) ? fail(`${folder}: wanted a folder, found a link to nothing`) : []
    if (error.code === 'ENOTDIR') return fail(`${folder}: wanted a folder, found a file`)
    throw fileError(error, folder)
  })
  return names.filter((name) => !name.startsWith(STAGE)).sort()
}

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false

/**
 * Whether a file or folder lies in a folder or is the folder itself, whatever links lead there. What does not exist lies
 * nowhere.
 */
export async function liesIn(path: string, folder: string): Promise<boolean> {
  const [inner, outer] = await Promise.all([path, folder].map((each) => realpath(each).catch(() => undefined)))
  return inner !== undefined && outer !== undefined && !/^\.\.($|[\\/])/.test(relative(outer, inner))
}

/** The folder that a path means as a source: itself, or where the file lies; undefined for what is no path. */
export async function sourceFolder(path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path)
    return (await stat(real)).isDirectory() ? real : dirname(real)
  } catch {
    return undefined
  }
}

/**
 * Lets `fill` write files to a hidden folder, then puts them into `out`, which is made if it is not there.
 *
 * @param replaced - names in `out` that go when the new files come; others stay unless a new file has their name
 * @returns paths of the new files, relative to `out`
 * @throws InputError when `out` cannot be written; then it is as it was
 */
export const fillFolder = (
  out: string,
  fill: (folder: string) => Promise<void>,
  replaced: readonly string[] = [],
): Promise<string[]> =>
  unbroken(async () => {
    let made: string | undefined
    let stage: string | undefined
    try {
      made = await mkdir(out, { recursive: true })
      stage = await mkdtemp(join(out, STAGE))
      const fresh = join(stage, 'new')
      await mkdir(fresh)
      await fill(fresh)
      const files = filesUnder(fresh)
      exchange(out, join(stage, 'old'), fresh, files, replaced)
      made = undefined
      return files
    } catch (error) {
      const told = fileError(error, out)
      throw told instanceof InputError && stage
        ? new InputError(told.message.replaceAll(join(stage, 'new'), out))
        : told
    } finally {
      if (stage) await rm(stage, { recursive: true, force: true })
      if (made) await removeEmpty(out, made)
    }
  })

function filesUnder(folder: string, under = ''): string[] {
  return readdirSync(join(folder, under), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(under, entry.name)
      return entry.isDirectory() ? filesUnder(folder, path) : [path]
    })
}

/** Moves old files away and new ones in, in one go that no signal interrupts; takes all of it back when a move fails. */
function exchange(
  out: string,
  old: string,
  fresh: string,
  files: readonly string[],
  replaced: readonly string[],
): void {
  const moved: (readonly [from: string, to: string])[] = []
  const move = (from: string, to: string) => {
    mkdirSync(dirname(to), { recursive: true })
    renameSync(from, to)
    moved.push([from, to])
  }
  try {
    for (const name of [...replaced, ...files]) if (existsSync(join(out, name))) move(join(out, name), join(old, name))
    for (const name of files) move(join(fresh, name), join(out, name))
  } catch (error) {
    for (const [from, to] of moved.reverse()) renameSync(to, from)
    throw error
  }
}

/** Removes a folder that was made in vain, up to the first that was. */
async function removeEmpty(out: string, first: string): Promise<void> {
  const last = resolve(first)
  for (let folder = resolve(out); folder.startsWith(last); folder = dirname(folder)) await rmdir(folder).catch(() => {})
}

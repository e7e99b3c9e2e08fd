import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { InputError } from '../errors.js'
import { writeFolder } from './folder.js'

const folder = temporaryFolder()
const own = ['index.html', 'figures']
const files = (text: string) =>
  new Map<string, Uint8Array | string>([
    ['index.html', text],
    ['figures/a.png', Uint8Array.of(1, 2)],
  ])

describe('writeFolder', () => {
  it('writes a new folder, below folders that are not there yet', async () => {
    const out = join(folder.path, 'deep', 'new')
    assert.deepEqual(await writeFolder(out, files('one'), own), [join(out, 'index.html'), join(out, 'figures/a.png')])
    assert.equal(readFileSync(join(out, 'index.html'), 'utf8'), 'one')
    assert.deepEqual([...readFileSync(join(out, 'figures/a.png'))], [1, 2])
  })

  it('replaces earlier results, with no file of theirs left', async () => {
    const out = join(folder.path, 'again')
    await writeFolder(out, new Map([...files('one'), ['figures/old.png', 'old']]), own)
    await writeFolder(out, files('two'), own)
    assert.equal(readFileSync(join(out, 'index.html'), 'utf8'), 'two')
    assert.deepEqual(readdirSync(join(out, 'figures')), ['a.png'])
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.startsWith('.')),
      [],
    )
  })

  it('refuses a folder that holds anything else, and leaves it alone', async () => {
    const out = join(folder.path, 'foreign')
    mkdirSync(out)
    folder.write('foreign/thesis.txt', 'years of work')
    await assert.rejects(writeFolder(out, files('one'), own), (error) => {
      assert.ok(error instanceof InputError)
      assert.match(error.message, /foreign: wanted a new or empty folder.*thesis\.txt/)
      return true
    })
    assert.deepEqual(readdirSync(out), ['thesis.txt'])
  })

  it('refuses a file, and a path below a file', async () => {
    const file = folder.write('file', 'x')
    await assert.rejects(writeFolder(file, files('one'), own), /file: wanted a folder, found a file/)
    await assert.rejects(writeFolder(join(file, 'below'), files('one'), own), InputError)
  })

  it('leaves nothing behind when a file cannot be written', async () => {
    const out = join(folder.path, 'half')
    const bad = new Map([...files('one'), ['index.html/below', 'not possible']])
    await assert.rejects(writeFolder(out, bad, own), InputError)
    assert.ok(!existsSync(out))
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.startsWith('.')),
      [],
    )
  })
})

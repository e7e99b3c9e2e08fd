import assert from 'node:assert/strict'
import { type FileHandle, lstat, mkdtemp, open, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { InputError } from './errors.js'
import { readWholeFile, writeAll, writeFileAtomic } from './files.js'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'idlevit-files-'))
})
after(() => rm(folder, { recursive: true }))

test('chunks are joined and read back', async () => {
  const path = join(folder, 'a.txt')
  await writeFileAtomic(path, ['hello ', new Uint8Array([119, 111]), 'rld'])
  assert.equal(await readFile(path, 'utf8'), 'hello world')
  assert.equal(new TextDecoder().decode(await readWholeFile(path)), 'hello world')
  await writeFileAtomic(path, 'short')
  assert.equal(await readFile(path, 'utf8'), 'short')
})

test('all bytes are written, behind the last or at a place, however few the system takes at once', async () => {
  const path = join(folder, 'slow.txt')
  const file = await open(path, 'w')
  const slow = {
    write: (bytes: Uint8Array, from: number, length: number, at: number | null) =>
      file.write(bytes, from, Math.min(length, 2), at),
  } as FileHandle
  await writeAll(slow, Buffer.from('hello world'))
  await writeAll(slow, Buffer.from('HELLO'), 3)
  await file.close()
  assert.equal(await readFile(path, 'utf8'), 'helHELLOrld')
})

test('behind a link the file is replaced, not the link', async () => {
  const path = join(folder, 'target.txt')
  await writeFileAtomic(path, 'old')
  const link = join(folder, 'link.txt')
  await symlink('target.txt', link)
  await writeFileAtomic(link, 'new')
  assert.equal(await readFile(path, 'utf8'), 'new')
  assert.ok((await lstat(link)).isSymbolicLink())
})

test('a write that breaks off leaves the old content and no debris', async () => {
  const path = join(folder, 'b.txt')
  await writeFileAtomic(path, 'old')
  async function* broken() {
    yield 'new'
    throw new Error('the disk fell off')
  }
  await assert.rejects(writeFileAtomic(path, broken()), /the disk fell off/)
  assert.equal(await readFile(path, 'utf8'), 'old')
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.endsWith('.tmp')),
    [],
  )
})

test('what cannot be read or written is named in one line', async () => {
  const missing = join(folder, 'missing', 'c.txt')
  await assert.rejects(readWholeFile(missing), new InputError(`${missing}: no such file`))
  await assert.rejects(writeFileAtomic(missing, 'x'), new InputError(`${missing}: no such file`))
  await assert.rejects(readWholeFile(folder), new InputError(`${folder}: is a folder, not a file`))
  const path = join(folder, 'd.txt')
  await writeFileAtomic(path, 'four')
  await assert.rejects(readWholeFile(path, 3), /4 bytes is more than the 3/)
})

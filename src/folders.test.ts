import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../test/support/folder.js'
import { InputError } from './errors.js'
import { writeFileAtomic } from './files.js'
import { fillFolder, liesIn, namesIn, sourceFolder } from './folders.js'

const folder = temporaryFolder()
const at = (...names: string[]) => join(folder.path, ...names)
const tree = (path: string) => readdirSync(path, { recursive: true, encoding: 'utf8' }).sort()
const text = (path: string) => readFileSync(path, 'utf8')

/** Fills with files of these names; their text is their name. */
const filling = (...names: string[]) =>
  async function fill(to: string) {
    for (const name of names) {
      mkdirSync(join(to, name, '..'), { recursive: true })
      await writeFileAtomic(join(to, name), name)
    }
  }

test('files join what is there; what is to be replaced goes, the folder itself stays', async () => {
  const out = at('joined')
  assert.deepEqual(await fillFolder(out, filling('a', 'b/c')), ['a', 'b/c'])
  const { ino } = statSync(out)
  writeFileSync(join(out, 'stranger'), 'untouched')
  writeFileSync(join(out, 'a'), 'old')
  await fillFolder(out, filling('a', 'b/d'))
  assert.deepEqual(tree(out), ['a', 'b', 'b/c', 'b/d', 'stranger'])
  assert.equal(text(join(out, 'a')), 'a')
  await fillFolder(out, filling('b/e'), ['a', 'b'])
  assert.deepEqual(tree(out), ['b', 'b/e', 'stranger'])
  assert.equal(statSync(out).ino, ino)
})

test('a folder may be a link, end in a slash, or be the one that the process is in', async () => {
  const spellings: readonly [name: string, out: () => string][] = [
    [
      'linked',
      () => {
        symlinkSync(at('linked'), at('link'))
        return at('link')
      },
    ],
    ['slashed', () => `${at('slashed')}/`],
    ['dotted', () => '.'],
    ['upward', () => `${relative(process.cwd(), at())}/./upward/../upward`],
  ]
  const home = process.cwd()
  for (const [name, spell] of spellings) {
    mkdirSync(at(name))
    const out = spell()
    if (name === 'dotted') process.chdir(at(name))
    for (const round of ['one', 'two']) {
      await fillFolder(out, filling(round, 'same'))
      assert.equal(text(at(name, round)), round)
    }
    process.chdir(home)
    assert.deepEqual(tree(at(name)), ['one', 'same', 'two'])
  }
  assert.deepEqual(tree(at('link')), ['one', 'same', 'two'])
})

test('what fails leaves everything as it was', async () => {
  const out = at('safe')
  await fillFolder(out, filling('a', 'b/c'))
  const broken = async (to: string) => {
    await filling('a', 'd')(to)
    throw new Error('no more')
  }
  await assert.rejects(fillFolder(out, broken, ['b']), /no more/)
  // Found out when half of the files are in place: a folder cannot be made where a file is.
  writeFileSync(join(out, 'z'), 'kept')
  writeFileSync(join(out, 'a'), 'kept')
  await assert.rejects(fillFolder(out, filling('a', 'b/c', 'z/new')), (error) => error instanceof InputError)
  assert.deepEqual(tree(out), ['a', 'b', 'b/c', 'z'])
  assert.deepEqual([text(join(out, 'a')), text(join(out, 'z'))], ['kept', 'kept'])
  await assert.rejects(fillFolder(join(out, 'z', 'below'), filling('e')), /safe\/z\/below/)
  await assert.rejects(fillFolder(at('not', 'there'), broken), /no more/)
  assert.ok(!readdirSync(at()).includes('not'))
})

test('names: sorted, none of a folder to come, none that a killed process left', async () => {
  mkdirSync(at('names'))
  for (const name of ['b', 'a', '.idlevit-x1y2z3', '.git']) writeFileSync(at('names', name), '')
  assert.deepEqual(await namesIn(at('names')), ['.git', 'a', 'b'])
  assert.deepEqual(await namesIn(at('absent')), [])
  await assert.rejects(namesIn(at('names', 'a')), /wanted a folder, found a file/)
  symlinkSync('nowhere', at('dangling'))
  await assert.rejects(namesIn(at('dangling')), /wanted a folder, found a link to nothing/)
})

test('where paths lie, through links', async () => {
  mkdirSync(at('real', '..odd'), { recursive: true })
  symlinkSync(at('real'), at('alias'))
  const file = folder.write('real/file', '')
  for (const path of [at('real'), at('alias'), file, at('alias', 'file'), at('real', '..odd')])
    assert.ok(await liesIn(path, at('alias')), path)
  for (const path of [at(), at('names'), at('real', 'absent')]) assert.ok(!(await liesIn(path, at('alias'))), path)
  for (const path of [at('real'), at('alias'), file, at('alias', 'file')])
    assert.equal(await sourceFolder(path), await sourceFolder(at('real')))
  assert.equal(await sourceFolder('facebook/deit-tiny-patch16-224'), undefined)
})

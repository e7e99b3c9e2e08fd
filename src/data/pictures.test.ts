import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { expandBraces } from './braces.js'
import { expandPictures } from './pictures.js'

const folder = temporaryFolder()
for (const path of [
  'a1.jpg',
  'a2.JPG',
  'b.png',
  'notes.txt',
  '[x].png',
  'sub/a3.jpg',
  'sub/deep/a4.webp',
  'none/x.txt',
]) {
  mkdirSync(join(folder.path, path, '..'), { recursive: true })
  folder.write(path, '')
}
const expand = async (...inputs: string[]) =>
  (await expandPictures(inputs.map((input) => join(folder.path, input)))).pictures.map((path) =>
    relative(folder.path, path),
  )

describe('expandPictures', () => {
  it('takes files as they are, in order', async () => {
    assert.deepEqual(await expand('b.png', 'notes.txt', 'a1.jpg', '[x].png'), [
      'b.png',
      'notes.txt',
      'a1.jpg',
      '[x].png',
    ])
  })

  const cases: [string, string[]][] = [
    ['', ['[x].png', 'a1.jpg', 'a2.JPG', 'b.png', 'sub/a3.jpg', 'sub/deep/a4.webp']],
    ['sub', ['sub/a3.jpg', 'sub/deep/a4.webp']],
    ['*.jpg', ['a1.jpg']],
    ['a?.*', ['a1.jpg', 'a2.JPG']],
    ['a[2-9].*', ['a2.JPG']],
    ['a[!2-9].*', ['a1.jpg']],
    ['*', ['[x].png', 'a1.jpg', 'a2.JPG', 'b.png', 'sub/a3.jpg', 'sub/deep/a4.webp']],
    ['**/a*', ['a1.jpg', 'a2.JPG', 'sub/a3.jpg', 'sub/deep/a4.webp']],
    ['s*/*.jpg', ['sub/a3.jpg']],
    ['{b,a1}.{png,jpg}', ['a1.jpg', 'b.png']],
    ['a{1..3}.jpg', ['a1.jpg']],
  ]
  for (const [pattern, expected] of cases) {
    it(`finds '${pattern}'`, async () => assert.deepEqual(await expand(pattern), expected))
  }

  it('lists what it leaves out', async () => {
    const leftOut = async (input: string) => (await expandPictures([join(folder.path, input)])).leftOut
    const text = (path: string) => ({
      path: join(folder.path, path),
      reason: '.txt is not a picture format that is read',
    })
    assert.deepEqual(await leftOut('b.png'), [])
    assert.deepEqual(await leftOut(''), [text('notes.txt'), text('none/x.txt')])
    assert.deepEqual(await leftOut('**/*'), [text('none/x.txt'), text('notes.txt')])
  })

  it('finds a picture once where a pattern fits it and its folder', async () => {
    assert.deepEqual(await expand('sub/**'), ['sub/a3.jpg', 'sub/deep/a4.webp'])
    assert.deepEqual(await expand('{b,b}.png'), ['b.png'])
    assert.deepEqual(await expand('b.png', 'b.png'), ['b.png', 'b.png'])
  })

  it('hands on URLs, and standard input once', async () => {
    const urls = ['https://example.org/a?b=[1]', 'file:///a.png', 'data:image/png;base64,AA==', '-']
    assert.deepEqual((await expandPictures(urls)).pictures, urls)
    await assert.rejects(expandPictures(['-', '-']), { message: '-: standard input can be read only once' })
  })

  it('refuses what holds or matches nothing', async () => {
    const refused = (input: string, message: string) =>
      assert.rejects(expandPictures([input]), { name: 'InputError', message: `${input}${message}` })
    const txt = `1 × .txt is not a picture format that is read (${join(folder.path, 'none', 'x.txt')})`
    await refused(join(folder.path, 'none'), `: the folder holds no pictures, but ${txt}`)
    await refused(join(folder.path, '*.bmp'), ': no picture matches')
    await refused(join(folder.path, 'gone.jpg'), ': no such file or folder')
    await assert.rejects(expandPictures(['[z-a]*']), { name: 'InputError' })
  })
})

describe('expandBraces', () => {
  const cases: [string, string[]][] = [
    ['plain', ['plain']],
    ['x{8..11}.tar', ['x8.tar', 'x9.tar', 'x10.tar', 'x11.tar']],
    ['x{008..010}', ['x008', 'x009', 'x010']],
    ['x{2..0}', ['x2', 'x1', 'x0']],
    ['{a,b}-{0..1}', ['a-0', 'a-1', 'b-0', 'b-1']],
    ['{a}', ['{a}']],
  ]
  for (const [text, expected] of cases) it(text, () => assert.deepEqual(expandBraces(text), expected))

  it('refuses ranges that are none, or too long', () => {
    assert.throws(() => expandBraces('{a..c}'), { name: 'InputError' })
    assert.throws(() => expandBraces('{0..1e9}'), { name: 'InputError' })
    assert.throws(() => expandBraces('{0..999999999}'), { name: 'InputError' })
    assert.throws(() => expandBraces('{0..9999}{0..9999}'), { name: 'InputError' })
  })
})

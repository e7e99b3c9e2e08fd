import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../test/support/folder.js'
import { askToFinish, beforeEnd, endAll, finishFirst, saveBeforeEnd, unbroken } from './ending.js'
import { withTemporaryFolder, writeFileAtomic } from './files.js'
import { fillFolder } from './folders.js'
import { startThread } from './threads.js'

const folder = temporaryFolder()
const pause = () => new Promise((resolve) => setTimeout(resolve, 5))

test('a command may be asked to finish by itself, as long as it wants to be', () => {
  assert.equal(askToFinish(), false)
  let asked = 0
  const release = finishFirst(() => asked++)
  assert.equal(askToFinish(), true)
  release()
  assert.equal(askToFinish(), false)
  assert.equal(asked, 1)
})

// The last test of this process, which is ending from then on.
test('the end: what began last ends first, nothing is left half-done, nothing new begins', async () => {
  const told: string[] = []
  const at = (name: string) => async () => {
    await pause()
    told.push(name)
  }
  beforeEnd(at('first'))
  const over = beforeEnd(at('over by then'))
  beforeEnd(() => {
    told.push('broken')
    throw new Error('not to be met')
  })
  beforeEnd(at('last'))
  over()

  const saved = folder.write('saved.txt', 'old')
  saveBeforeEnd(async () => {
    await writeFileAtomic(saved, 'new')
    told.push('saved')
  })
  saveBeforeEnd(() => told.push('never'))()
  const path = folder.write('kept.txt', 'old')
  let pieces = 0
  async function* endless() {
    for (;;) {
      pieces++
      yield 'new'
    }
  }
  const writing = assert.rejects(writeFileAtomic(path, endless()), /is ending/)
  const filling = assert.rejects(
    fillFolder(join(folder.path, 'new'), async (to) => {
      await writeFileAtomic(join(to, 'a.txt'), 'a')
      await writeFileAtomic(join(to, 'b.txt'), endless())
    }),
    /is ending/,
  )
  let temporary = ''
  void withTemporaryFolder((made) => {
    temporary = made
    return new Promise(() => {})
  })
  let finished = false
  void unbroken(async () => {
    await pause()
    finished = true
  })
  while (pieces < 100) await pause()

  await endAll()
  await Promise.all([writing, filling])
  assert.deepEqual(told, ['saved', 'last', 'broken', 'first'])
  assert.equal(readFileSync(saved, 'utf8'), 'new')
  assert.ok(finished)
  assert.deepEqual(readdirSync(folder.path).sort(), ['kept.txt', 'saved.txt'])
  assert.equal(readFileSync(path, 'utf8'), 'old')
  assert.throws(() => readdirSync(temporary), /ENOENT/)
  assert.throws(() => beforeEnd(() => {}), /is ending/)
  assert.throws(() => startThread(new URL(import.meta.url), 'x.js', undefined), /is ending/)
  await assert.rejects(
    unbroken(async () => assert.fail('begun')),
    /is ending/,
  )
})

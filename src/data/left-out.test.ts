import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { countByReason } from './left-out.js'

describe('countByReason', () => {
  it('tells kinds by frequency, with their first names', () => {
    const leftOut = [
      { path: 'a.jpg', reason: 'damaged JPEG file (byte 7)' },
      ...['b.txt', 'c.txt', 'd.txt', 'e.txt'].map((path) => ({ path, reason: '.txt is not read' })),
      { path: 'f.jpg', reason: 'damaged JPEG file (byte 9)' },
    ]
    assert.deepEqual(countByReason(leftOut), [
      '4 × .txt is not read (b.txt, c.txt, d.txt, …)',
      '2 × damaged JPEG file (a.jpg, f.jpg)',
    ])
    assert.deepEqual(countByReason([]), [])
  })

  it('stays short, whatever there is, and counts all of it', () => {
    const leftOut = Array.from({ length: 5000 }, (_, i) => ({ path: `${i}`, reason: `reason ${i % 50}` }))
    const lines = countByReason(leftOut)
    assert.equal(lines.length, 11)
    assert.equal(
      lines.reduce((sum, line) => sum + Number.parseInt(line, 10), 0),
      5000,
    )
    assert.equal(lines.at(-1), '4000 for 40 other reasons')
  })
})

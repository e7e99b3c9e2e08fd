import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { turnColorOff } from './color.js'
import { emit, formatTable, type Out, startProgress, stopProgress, table, warn } from './output.js'

turnColorOff() // which the test runner turns on where it runs in a terminal

/** A stream that keeps what is written. */
function memory(isTTY = false): Out & { readonly written: () => string } {
  let kept = ''
  const stream = new Writable({
    write(chunk, _encoding, done) {
      kept += String(chunk)
      done()
    },
  })
  return Object.assign(stream, { isTTY, written: () => kept })
}

test('a table is aligned: text left, columns of numbers right', () => {
  const rows = [
    ['method', 'K', 'top-1', 'speedup'],
    ['none', 1, '81.25 %', '1.00x'],
    ['dynamicvit', 0.7, '9.5 %', undefined],
  ]
  assert.equal(
    formatTable(rows),
    'method        K    top-1  speedup\nnone          1  81.25 %    1.00x\ndynamicvit  0.7    9.5 %\n',
  )
})

test('a table counts letters, not code units, and may be empty or ragged', () => {
  assert.equal(formatTable([]), '')
  assert.equal(formatTable([['a', 'b'], ['🐟', 'x'], ['long']]), 'a     b\n🐟     x\nlong\n')
  const out = memory()
  table([['a'], [1]], out)
  assert.equal(out.written(), 'a\n1\n')
})

test('emit writes one JSON document or lets the command print for people', () => {
  const out = memory()
  const value = { scores: Float32Array.of(0.5, 2), count: 3n, loss: Number.NaN }
  emit(true, value, () => assert.fail('not for people'), out)
  assert.deepEqual(JSON.parse(out.written()), { scores: [0.5, 2], count: 3, loss: null })
  assert.ok(out.written().endsWith('}\n'))
  const shown: unknown[] = []
  emit(undefined, value, (each) => shown.push(each), out)
  assert.deepEqual(shown, [value])
})

test('a warning is a line of its own', () => {
  const out = memory()
  warn('keep ratios rise', out)
  assert.equal(out.written(), 'warning: keep ratios rise\n')
})

/** Progress without a terminal, under a clock that the test turns. */
function lines(total: number | undefined) {
  const out = memory()
  let time = 0
  const progress = startProgress('evaluating', total, { out, now: () => time })
  return {
    at(seconds: number, done: number, note?: string) {
      time = seconds * 1000
      progress.update(done, note)
    },
    stop: () => progress.stop(),
    written: () => out.written().split('\n').slice(0, -1),
  }
}

test('short work shows nothing', () => {
  const { at, stop, written } = lines(100)
  for (let done = 1; done <= 100; done++) at(done / 101, done)
  stop()
  assert.deepEqual(written(), [])
})

test('without a terminal: a line per tenth, and after five seconds', () => {
  const { at, stop, written } = lines(200)
  at(1, 4, 'top-1 75 %')
  at(2, 5) // no tenth, no five seconds
  at(3, 24)
  at(3.5, 60) // a tenth, but within a second
  at(4, 60)
  at(8.9, 70)
  at(9, 71)
  stop()
  at(100, 200)
  assert.deepEqual(written(), [
    'evaluating 4/200 (2 %) top-1 75 %',
    'evaluating 24/200 (12 %)',
    'evaluating 60/200 (30 %)',
    'evaluating 71/200 (35 %)',
  ])
})

test('without a total: a line every five seconds', () => {
  const { at, written } = lines(undefined)
  for (let second = 0; second <= 12; second++) at(second, 10 * second)
  assert.deepEqual(written(), ['evaluating 10', 'evaluating 60', 'evaluating 110'])
})

test('on a terminal: a bar that gives way to lines and is gone at the end', () => {
  const out = memory(true)
  const progress = startProgress('evaluating', 8, { out, quiet: 0 })
  progress.update(2, 'top-1 50 %')
  assert.match(out.written(), /evaluating \[=+-+\] 2\/8 .*top-1 50 %/)
  warn('one picture skipped', out)
  assert.ok(out.written().endsWith('\r\u001b[Kwarning: one picture skipped\n'))
  progress.stop()
  assert.ok(out.written().endsWith('\u001b[1G\u001b[2K'), 'the line is cleared')
  const length = out.written().length
  progress.update(3)
  progress.stop()
  stopProgress()
  assert.equal(out.written().length, length)
})

test('on a terminal: no time left until it is known, then in words', (context) => {
  const out = memory(true)
  context.after(stopProgress)
  const progress = startProgress('evaluating', 40_000, { out, quiet: 0 })
  progress.update(0)
  progress.update(0)
  progress.update(0)
  assert.ok(out.written().includes('0/40000 '))
  assert.doesNotMatch(out.written(), /left|LL|NF|NaN|Infinity/)
  const clock = Date.now
  try {
    let time = clock()
    Date.now = () => time
    for (const done of [100, 200, 300]) {
      time += 10_000
      progress.update(done)
    }
    time += 3000
    progress.update(39_900)
  } finally {
    Date.now = clock
  }
  progress.stop()
  assert.match(out.written(), / \d+ h \d+ min left/)
  assert.match(out.written(), / \d+ s left/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InputError } from '../errors.js'
import { parseLabels } from './labels.js'

test('one name a line, with any line end, a byte order mark and blank lines at the end', () => {
  assert.deepEqual(parseLabels('cat\ndog'), ['cat', 'dog'])
  assert.deepEqual(parseLabels('\uFEFFcat\r\n dog \r\n\r\n'), ['cat', 'dog'])
  assert.deepEqual(parseLabels('crane\ncrane\n'), ['crane', 'crane'])
  assert.deepEqual(parseLabels('tench, Tinca tinca\n'), ['tench, Tinca tinca'])
})

test('JSON arrays and JSON objects from index to name', () => {
  assert.deepEqual(parseLabels('["cat", "dog"]'), ['cat', 'dog'])
  assert.deepEqual(parseLabels('{"1": "dog", "0": "cat"}\n'), ['cat', 'dog'])
})

test('the first synonym of wnid lines', () => {
  const text = 'n01440764\ttench, Tinca tinca\nn01443537\tgoldfish, Carassius auratus\n'
  assert.deepEqual(parseLabels(text), ['tench', 'goldfish'])
})

test('every form gives back the names that were written', () => {
  const name = fc.stringMatching(/^[a-z]([a-z '-]{0,10}[a-z])?$/)
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 20 }), (names) => {
      assert.deepEqual(parseLabels(names.join('\n')), names)
      assert.deepEqual(parseLabels(JSON.stringify(names)), names)
      assert.deepEqual(parseLabels(JSON.stringify({ ...names })), names)
      assert.deepEqual(parseLabels(names.map((each) => `n00000001\t${each}, other`).join('\r\n')), names)
    }),
  )
})

const refused: readonly [text: string, message: string | RegExp][] = [
  [' \n\n', 'l.txt: wanted class names, found an empty file'],
  ['[]', 'l.txt: wanted class names, found an empty array'],
  ['{}', 'l.txt: wanted class names, found an empty object'],
  ['cat\n\ndog', 'l.txt: line 2: wanted a class name, found an empty one'],
  ['["cat", 7]', 'l.txt: class 1: wanted a class name, found 7'],
  ['["cat", " "]', 'l.txt: class 1: wanted a class name, found an empty one'],
  ['{"0": "cat", "2": "dog"}', 'l.txt: wanted indices 0 to 1, found no 1'],
  ['{"cat": 0}', 'l.txt: wanted class indices as keys, found "cat"'],
  ['{"00": "cat"}', 'l.txt: wanted class indices as keys, found "00"'],
  ['n00000001\tcat\ndog', 'l.txt: line 2: wanted wnid<TAB>names like the first line, found "dog"'],
  ['n00000001\t, cat', 'l.txt: line 1: wanted a class name, found an empty one'],
  ['0\tcat', 'l.txt: line 1: wanted a class name, found control characters in "0\\tcat"'],
  ['cat\u001b[2J', 'l.txt: line 1: wanted a class name, found control characters in "cat\\u001b[2J"'],
  ['[cat\ndog]', /^l\.txt: wanted JSON, as its first character says, found [^\n]*$/],
]

test('a broken label file is bad input, told in one line', () => {
  for (const [text, message] of refused) {
    assert.throws(
      () => parseLabels(text, 'l.txt'),
      (error) => {
        assert.ok(error instanceof InputError)
        if (typeof message === 'string') assert.equal(error.message, message)
        else assert.match(error.message, message)
        return true
      },
    )
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tiny } from '../../test/support/models.js'
import { InputError } from '../errors.js'
import { checkTeacher, hasSameClasses } from './teacher.js'

const of = (classes: number, labels?: readonly string[]) => ({
  name: 'm',
  config: { ...tiny, classes },
  ...(labels && { labels }),
})

test('a teacher answers for as many classes with the same names, where both have names', () => {
  assert.ok(hasSameClasses(of(2, ['cat', 'dog']), of(2, ['cat', 'dog'])))
  assert.ok(hasSameClasses(of(2, ['Cat', 'dog']), of(2)))
  assert.ok(!hasSameClasses(of(2, ['dog', 'cat']), of(2, ['cat', 'dog'])))
  assert.ok(!hasSameClasses(of(2, ['cat', 'cow']), of(2, ['cat', 'dog'])))
  assert.ok(!hasSameClasses(of(3), of(2)))
})

test('only what is learned from a teacher must fit', () => {
  checkTeacher(of(1000), tiny, { answers: false, rows: 'all' })
  assert.throws(
    () => checkTeacher(of(1000), tiny, { answers: true, rows: 'all' }),
    new InputError('--teacher m: wanted 5 classes as the student has, found 1000'),
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hasColor, paint, turnColorOff } from './color.js'

/** A terminal that has the colours Node finds for an environment. */
const terminal = { isTTY: true, hasColors: (env: { TERM?: string } = {}) => env.TERM !== 'dumb' }
const pipe = {}

test('colours are where a terminal has them, NO_COLOR and FORCE_COLOR decide otherwise', () => {
  const cases: readonly [out: object, env: Record<string, string>, colored: boolean][] = [
    [terminal, {}, true],
    [terminal, { TERM: 'dumb' }, false],
    [terminal, { NO_COLOR: '1' }, false],
    [terminal, { NO_COLOR: '' }, true], // no-color.org: present and not empty
    [terminal, { FORCE_COLOR: '0' }, false],
    [pipe, {}, false],
    [pipe, { FORCE_COLOR: '1' }, true],
    [pipe, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
    [{ isTTY: true }, {}, false],
  ]
  for (const [out, env, colored] of cases) assert.equal(hasColor(out, env), colored, JSON.stringify(env))
})

test('text is as it was where there are no colours', () => {
  assert.equal(paint('red', 'error:', pipe, {}), 'error:')
  assert.equal(paint('red', 'error:', terminal, {}), '\u001b[31merror:\u001b[39m')
})

test('turned off, colours stay off, and Node has nothing to warn of', () => {
  const env: NodeJS.ProcessEnv = { FORCE_COLOR: '1' }
  turnColorOff(env)
  assert.deepEqual(env, { NO_COLOR: '1' })
  assert.equal(hasColor(terminal, env), false)
})

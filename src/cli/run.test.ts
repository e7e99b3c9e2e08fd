import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Command, InvalidArgumentError } from 'commander'
import { fail } from '../errors.js'
import { turnColorOff } from './color.js'
import { addExamples } from './help.js'
import { addOptions } from './options.js'
import { startProgress } from './output.js'
import { run } from './run.js'

turnColorOff() // which the test runner turns on where it runs in a terminal

/** Runs a program whose command `work` does `action`. */
async function attempt(action: () => unknown, args: readonly string[], env: Record<string, string> = {}) {
  const streams = { stdout: '', stderr: '' }
  const keep = (name: keyof typeof streams) =>
    new Writable({
      write(chunk, _encoding, done) {
        streams[name] += String(chunk)
        done()
      },
    })
  const act = async () => {
    await action()
  }
  const program = new Command('idlevit').version('1.2.3')
  addOptions(program.command('work').argument('[file]').action(act), ['keepRatio', 'keepTokens', 'batch'])
  const strict = program.command('strict').argument('<file...>')
  addOptions(strict, ['model', 'seed', 'labels'], { required: ['model', 'seed'] }).action(act)
  addExamples(strict, ['idlevit strict x --seed 1 \\\n  --model demo', 'all it takes'])
  program
    .command('check')
    .option('--even <n>', 'even', () => {
      throw new InvalidArgumentError('wanted an even number')
    })
    .action(act)
  const around = { stdout: keep('stdout'), stderr: keep('stderr'), env }
  return { code: await run(program, args, around), ...streams }
}

const nothing = () => {}

test('success is 0, and so are help and version', async () => {
  assert.deepEqual(await attempt(nothing, ['work']), { code: 0, stdout: '', stderr: '' })
  assert.deepEqual(await attempt(nothing, ['--version']), { code: 0, stdout: '1.2.3\n', stderr: '' })
  for (const args of [['--help'], ['work', '--help'], ['help', 'work']]) {
    const { code, stdout, stderr } = await attempt(nothing, args)
    assert.equal(code, 0)
    assert.match(stdout, /^Usage: idlevit /)
    assert.equal(stderr, '')
  }
})

test('wrong usage is 2 and one line with a hint', async () => {
  const cases: readonly [args: string[], stderr: string][] = [
    [['work', '--foo'], "error: unknown option '--foo' (see idlevit work --help)\n"],
    [['work', '--bach', '1'], "error: unknown option '--bach' (Did you mean --batch?) (see idlevit work --help)\n"],
    [['wrok'], "error: unknown command 'wrok' (Did you mean work?) (see idlevit --help)\n"],
    [
      ['strict'],
      'error: <file...>, --model <name> and --seed <N> are missing, ' +
        'as in: idlevit strict x --seed 1 --model demo (see idlevit strict --help)\n',
    ],
    [
      ['strict', 'x', '--seed', '0'],
      'error: --model <name> is missing, as in: idlevit strict x --seed 1 --model demo (see idlevit strict --help)\n',
    ],
    [
      ['strict', '--modle', 'x'],
      "error: unknown option '--modle' (Did you mean --model?) (see idlevit strict --help)\n",
    ],
    [['work', '--batch'], "error: option '--batch <N>' argument missing (see idlevit work --help)\n"],
    [
      ['work', '--keep-ratio', '0.5', '--keep-tokens', '9'],
      "error: option '--keep-ratio <K>' cannot be used with option '--keep-tokens <n0,n1,…>' (see idlevit work --help)\n",
    ],
  ]
  for (const [args, stderr] of cases) {
    assert.deepEqual(await attempt(nothing, args), { code: 2, stdout: '', stderr })
  }
  const tooMany = await attempt(nothing, ['work', 'a', 'b'])
  assert.equal(tooMany.code, 2)
  assert.match(tooMany.stderr, /^error: too many arguments[^\n]*\(see idlevit work --help\)\n$/)
})

test('no command shows the help on stderr and is wrong usage', async () => {
  const { code, stdout, stderr } = await attempt(nothing, [])
  assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
  assert.match(stderr, /^Usage: idlevit /)
})

test('a bad value is bad input', async () => {
  assert.deepEqual(await attempt(nothing, ['work', '--keep-ratio', '-0.5']), {
    code: 1,
    stdout: '',
    stderr: 'error: --keep-ratio: wanted a number above 0 and at most 1, found -0.5\n',
  })
  const { code, stderr } = await attempt(nothing, ['check', '--even', '3'])
  assert.equal(code, 1)
  assert.match(stderr, /^error: option '--even <n>' argument '3' is invalid\. wanted an even number\n$/)
})

test('any error is one line and 1; the stack is shown for IDLEVIT_DEBUG=1 only', async () => {
  const bad = () => fail('photo.jpg: wanted a picture, found a folder')
  const stderr = 'error: photo.jpg: wanted a picture, found a folder\n'
  assert.deepEqual(await attempt(bad, ['work']), { code: 1, stdout: '', stderr })
  const broken = async () => {
    throw new TypeError('first\n  second', { cause: Object.assign(new Error(''), { code: 'ECONNREFUSED' }) })
  }
  assert.equal((await attempt(broken, ['work'])).stderr, 'error: first second: ECONNREFUSED\n')
  const debug = await attempt(broken, ['work'], { IDLEVIT_DEBUG: '1' })
  assert.equal(debug.code, 1)
  assert.match(debug.stderr, /^error: first second: ECONNREFUSED\nTypeError: first\n(.*\n)+ {4}at /)
  const text = await attempt(() => Promise.reject('text'), ['work'])
  assert.deepEqual([text.code, text.stderr], [1, 'error: text\n'])
})

test('out of memory names the batch size', async () => {
  const errors: readonly (() => unknown)[] = [
    () => new ArrayBuffer(Number.MAX_SAFE_INTEGER), // V8's own words
    () => new Float32Array(2 ** 50),
    () => {
      throw new Error('std::bad_alloc')
    },
    () => {
      throw new Error('bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 99999')
    },
    () => {
      throw new Error('run failed', { cause: new Error('CUDA failure 2: out of memory') })
    },
  ]
  const message = 'error: out of memory: a smaller batch size needs less, lower --batch'
  for (const error of errors) {
    const { code, stderr } = await attempt(error, ['work', '--batch', '4096'])
    assert.deepEqual([code, stderr], [1, `${message} (now 4096)\n`])
  }
  assert.equal((await attempt(errors[2] ?? nothing, ['work'])).stderr, `${message}\n`)
  const bug = await attempt(() => new Float32Array(-1), ['work'])
  assert.equal(bug.stderr, 'error: Invalid typed array length: -1\n')
})

test('running leaves no listeners and no bar behind', async () => {
  const before = process.listenerCount('SIGINT') + process.listenerCount('uncaughtException')
  const screen = Object.assign(new Writable({ write: (_chunk, _encoding, done) => done() }), { isTTY: true })
  await attempt(() => {
    startProgress('working', 2, { out: screen, quiet: 0 }).update(1)
    fail('stop') // the bar's timer would keep the test process alive
  }, ['work'])
  assert.equal(process.listenerCount('SIGINT') + process.listenerCount('uncaughtException'), before)
})

/** Starts a process of its own around a program with one command. */
function start(action: string) {
  const module = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
  const script = `
    import { Command } from 'commander'
    import { run } from ${module('./run.ts')}
    import { beforeEnd, finishFirst } from ${module('../ending.ts')}
    const program = new Command('idlevit')
    const pause = (time) => new Promise((resolve) => setTimeout(resolve, time))
    const forever = () => new Promise(() => { setInterval(() => {}, 1000); console.log('ready') })
    program.command('work').action(${action})
    process.exitCode = await run(program, ['work'])`
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }))
  return { child, ended, ready: once(child.stdout, 'data') }
}

test('an interrupt is 130 and silent', async () => {
  const { child, ended, ready } = start('forever')
  await ready
  child.kill('SIGINT')
  assert.deepEqual(await ended, { code: 130, signal: null, stdout: 'ready\n', stderr: '' })
})

test('other requests to end are the signal itself, once what is under way has ended; its errors are not told', async () => {
  const action = `() => {
    let reject
    const promise = new Promise((_, no) => { reject = no })
    beforeEnd(async () => { reject(new Error('broken off')); await pause(50); console.log('stopped') })
    forever()
    return promise
  }`
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
    const { child, ended, ready } = start(action)
    await ready
    child.kill(signal)
    assert.deepEqual(await ended, { code: null, signal, stdout: 'ready\nstopped\n', stderr: '' })
  }
})

test('a second interrupt ends at once; one that comes at the same time is an echo of the first', async () => {
  const slow = "() => { beforeEnd(async () => { console.log('stopping'); await pause(1500) }); return forever() }"
  const echoed = start(slow)
  await echoed.ready
  echoed.child.kill('SIGINT')
  await once(echoed.child.stdout, 'data')
  echoed.child.kill('SIGINT')
  assert.deepEqual((await echoed.ended).code, 130)

  const twice = start(slow.replace('1500', '600_000'))
  await twice.ready
  twice.child.kill('SIGINT')
  await once(twice.child.stdout, 'data')
  await setTimeout(700)
  twice.child.kill('SIGINT')
  const { code, signal } = await twice.ended
  assert.deepEqual([code, signal], [null, 'SIGINT'])
})

test('a command that finishes by itself is waited for, and its error is told', async () => {
  const finishing = (end: string) => `async () => {
    let stop
    const stopped = new Promise((resolve) => { stop = resolve })
    const release = finishFirst(stop)
    beforeEnd(() => console.log('stopped'))
    void forever()
    await stopped
    await pause(50)
    ${end}
    release()
  }`
  const saved = start(finishing("console.log('saved')"))
  await saved.ready
  saved.child.kill('SIGINT')
  assert.deepEqual(await saved.ended, { code: 130, signal: null, stdout: 'ready\nsaved\nstopped\n', stderr: '' })
  const failed = start(finishing("throw new Error('disk full')"))
  await failed.ready
  failed.child.kill('SIGINT')
  assert.deepEqual(await failed.ended, {
    code: 1,
    signal: null,
    stdout: 'ready\nstopped\n',
    stderr: 'error: disk full\n',
  })
})

test('a closed stdout is silent', async () => {
  const { child, ended, ready } = start(
    '() => new Promise(() => { setInterval(() => process.stdout.write("x".repeat(1 << 16)), 1) })',
  )
  await ready
  child.stdout.destroy()
  const { code, stderr } = await ended
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
})

test('a closed stderr changes nothing', async () => {
  const { child, ended, ready } = start(`async () => {
    console.log('ready')
    for (let i = 0; i < 20; i++) { await pause(10); process.stderr.write('x'.repeat(1 << 16)) }
    console.log('done')
  }`)
  await ready
  child.stderr.destroy()
  const { code, stdout } = await ended
  assert.deepEqual({ code, stdout }, { code: 0, stdout: 'ready\ndone\n' })
})

test('an error outside the command is one line too', async () => {
  const { ended } = start(
    "() => new Promise(() => { setInterval(() => {}, 1000); setTimeout(() => { throw new Error('lost') }) })",
  )
  const { code, stderr } = await ended
  assert.deepEqual({ code, stderr }, { code: 1, stderr: 'error: lost\n' })
})

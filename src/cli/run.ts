/**
 * Runs a commander program the way the command line contract says. An error is one line on stderr, never a stack trace
 * (`IDLEVIT_DEBUG=1` adds it), and one rule gives the exit code:
 *
 * - 0: done, or help was asked for.
 * - 2, wrong usage: which words stand on the command line. An unknown command or option, a missing or excess argument, a
 *   missing option or value, options that exclude each other.
 * - 1, bad input and failures: what the words say. A value that an option cannot take (`--keep-ratio 2`) or that does not
 *   fit the model, a file, a picture, the hub, the disk.
 * - 130, an interrupt (SIGINT). SIGTERM and SIGHUP end the process as they would have without us; shells show 143 and 129.
 *   Before it leaves, a training run saves, computations stop, temporary files go. A second signal ends at once.
 *
 * A closed stdout (`idlevit … | head -1`) ends the process quietly. A closed stderr takes warnings and progress away and
 * nothing else.
 */
import { type Command, CommanderError } from 'commander'
import { askToFinish, endAll } from '../ending.js'
import { InputError } from '../errors.js'
import { fileError } from '../files.js'
import { hasColor, paint } from './color.js'
import { describeMissing } from './help.js'
import { type Out, stopProgress } from './output.js'

const FAILURE = 1
const USAGE = 2
const INTERRUPTED = 130

/** The process around a command, for tests to replace. */
export interface Surroundings {
  readonly stdout: Out
  readonly stderr: Out
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * Parses `args` (without node and script) and runs the command they name.
 *
 * Errors end here: they are told on stderr and become the exit code. A command that found something wrong prints its
 * result, then throws.
 *
 * @returns the exit code, for `process.exitCode`, which unlike `process.exit` lets piped output drain
 *
 * @example
 * process.exitCode = await run(program, process.argv.slice(2))
 */
export async function run(program: Command, args: readonly string[], around: Surroundings = process): Promise<number> {
  let current = program
  prepare(program, around, (command) => {
    current = command
  })
  program.hook('preAction', (_, action) => {
    current = action
  })
  const guard = guardProcess((error) => tell(error, current, around), around)
  try {
    await guard.watch(program.parseAsync([...args], { from: 'user' }))
    await guard.leaving()
    return 0
  } catch (error) {
    await guard.leaving() // what broke off on the way out is no error
    return tell(error, current, around)
  } finally {
    stopProgress()
    guard.release()
  }
}

/** Makes every command throw instead of exit, print errors nowhere, and say which of them failed. */
function prepare(command: Command, around: Surroundings, enter: (command: Command) => void): void {
  command.configureOutput({
    writeOut: (text) => around.stdout.write(text),
    writeErr: (text) => around.stderr.write(text),
    outputError: () => {},
    getOutHasColors: () => hasColor(around.stdout, around.env),
    getErrHasColors: () => hasColor(around.stderr, around.env),
  })
  command.exitOverride((error) => {
    enter(command)
    throw error
  })
  for (const each of command.commands) prepare(each, around, enter)
}

/** What asks a process to end: Ctrl-C, the schedulers of clusters, a terminal that closes. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** npm hands a Ctrl-C on to its child, which has got it from the terminal already: so soon it is the same one. */
const ECHO_MILLISECONDS = 500

/** Listens for what ends a process outside of any promise. */
function guardProcess(tellError: (error: unknown) => number, { stdout, stderr }: Surroundings) {
  let work: Promise<unknown> | undefined
  let leaving: Promise<never> | undefined
  let since = 0
  let stopping = false

  /** Stops everything and ends the process. */
  async function leave(last: () => void): Promise<never> {
    stopping = true
    stopProgress()
    process.on('rejectionHandled', () => {}) // what breaks off now may be noticed late, which is worth no warning
    const patience = setTimeout(
      () => stderr.write('waiting for the computation under way (once more ends at once)\n'),
      2000,
    )
    await endAll()
    clearTimeout(patience)
    last()
    return new Promise(() => {}) // a signal to oneself may take a moment
  }
  const exit = (code: number) => () => process.exit(code)
  const raise = (signal: NodeJS.Signals) => {
    ignoreSignals()
    process.kill(process.pid, signal)
  }
  const interrupted = (signal: NodeJS.Signals) => {
    if (leaving) return performance.now() - since < ECHO_MILLISECONDS ? undefined : raise(signal)
    since = performance.now()
    const last = signal === 'SIGINT' ? exit(INTERRUPTED) : () => raise(signal)
    const finished = askToFinish() ? work : undefined
    leaving = Promise.resolve(finished).then(
      () => leave(last),
      (error) => leave(exit(tellError(error))),
    )
    // A thread too busy to listen is then ended by the system.
    setTimeout(ignoreSignals, ECHO_MILLISECONDS).unref()
  }
  const ignoreSignals = () => {
    for (const signal of signals) process.off(signal, interrupted)
  }
  const uncaught = (error: unknown) => {
    if (!stopping) leaving = leave(exit(tellError(error)))
  }
  const outputFailed = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') return uncaught(fileError(error, 'stdout'))
    leaving ??= leave(exit(Number(process.exitCode ?? 0)))
  }
  for (const signal of signals) process.on(signal, interrupted)
  process.on('uncaughtException', uncaught)
  stdout.on('error', outputFailed)
  stderr.on('error', () => {}) // nobody listens: the result still counts
  return {
    /** The command's work, to be waited for when it ends by itself. */
    watch(command: Promise<unknown>) {
      work = command
      return command
    },
    /** Never comes back when the process is about to leave. */
    leaving: async () => {
      await leaving
    },
    release() {
      ignoreSignals()
      process.off('uncaughtException', uncaught)
      // The streams stay watched: a pipe may close while the last output drains, after the command is done.
    },
  }
}

/** Prints an error as one line and returns its exit code. */
function tell(error: unknown, command: Command, { stderr, env }: Surroundings): number {
  stopProgress()
  if (error instanceof CommanderError && error.exitCode === 0) return 0 // --help, --version
  if (error instanceof CommanderError && error.code === 'commander.help') return USAGE // no command: help was shown
  const isUsage = error instanceof CommanderError && error.code !== 'commander.invalidArgument'
  const hint = isUsage ? ` (see ${pathOf(command)} --help)` : ''
  stderr.write(`${paint('red', 'error:', stderr, env)} ${describe(error, command)}${hint}\n`)
  if (env.IDLEVIT_DEBUG === '1' && error instanceof Error && error.stack) stderr.write(`${error.stack}\n`)
  return isUsage ? USAGE : FAILURE
}

function describe(error: unknown, command: Command): string {
  if (error instanceof CommanderError && error.code === 'commander.missingArgument') return describeMissing(command)
  if (isOutOfMemory(error)) {
    const { batch } = command.opts<{ batch?: unknown }>()
    return `out of memory: a smaller batch size needs less, lower --batch${batch === undefined ? '' : ` (now ${batch})`}`
  }
  return oneLine(error instanceof InputError ? error.message : messages(error).join(': ')).replace(/^error: /, '')
}

/** An error's message and those of its causes: `fetch failed` alone says too little. */
function messages(error: unknown): string[] {
  if (!(error instanceof Error)) return [String(error)]
  const message = error.message || (error as NodeJS.ErrnoException).code || error.name
  return [message, ...(error.cause === undefined ? [] : messages(error.cause))]
}

const oneLine = (message: string): string => message.trim().replace(/\s*[\r\n]+\s*/g, ' ')

/** Memory that V8, a native allocator or ONNX Runtime (CPU arena, CUDA, WebGPU) could not get. */
const OUT_OF_MEMORY =
  /array buffer allocation failed|invalid typed array length: \d|std::bad_(array_new_length|alloc)|failed to allocate memory|out of memory/i

function isOutOfMemory(error: unknown): boolean {
  return !(error instanceof InputError) && messages(error).some((message) => OUT_OF_MEMORY.test(message))
}

/** How a command is called: `idlevit classify`. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

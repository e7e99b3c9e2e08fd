/**
 * Runs a commander program the way the command line contract says: exit code 0 for success, 1 for bad input and
 * failures, 2 for wrong usage, 130 for an interrupt; an error is one line on stderr, never a stack trace
 * (`IDLEVIT_DEBUG=1` adds it).
 */
import { type Command, CommanderError } from 'commander'
import { InputError } from '../errors.js'
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
 * Errors end here: they are told on stderr and become the exit code. A closed stdout (`idlevit … | head`) ends the
 * process silently, an interrupt with code 130. A command that found something wrong prints its result, then throws.
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
  const release = guardProcess((error) => tell(error, current, around), around)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return 0
  } catch (error) {
    return tell(error, current, around)
  } finally {
    stopProgress()
    release()
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

/** Listens for what ends a process outside of any promise; the result stops listening. */
function guardProcess(tellError: (error: unknown) => number, { stdout, stderr }: Surroundings): () => void {
  const end = (code: number) => {
    stopProgress()
    process.exit(code)
  }
  const interrupted = () => end(INTERRUPTED)
  const uncaught = (error: unknown) => end(tellError(error))
  const closed = (error: NodeJS.ErrnoException) =>
    error.code === 'EPIPE' ? end(Number(process.exitCode ?? 0)) : uncaught(error)
  process.once('SIGINT', interrupted)
  process.once('uncaughtException', uncaught)
  stdout.on('error', closed)
  stderr.on('error', closed)
  return () => {
    process.off('SIGINT', interrupted)
    process.off('uncaughtException', uncaught)
    // `closed` stays: a pipe may close while the last output drains, after the command is done.
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

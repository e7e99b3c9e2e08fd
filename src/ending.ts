/**
 * How a process ends in order before its work is done: what is under way breaks off, threads leave, and what would be
 * left over goes away. Whoever starts such a thing says here how it ends; only the command line ever asks for the end.
 *
 * ONNX Runtime aborts a process that exits while one of its threads computes, so the threads go first. Safe in browsers,
 * where nothing ever ends.
 */

type Ending = () => unknown

const endings = new Set<Ending>()
let ending = false

/** Breaks off what is under way once the process is ending, by an error that nobody is told. */
export function breakOff(): void {
  if (ending) throw new Error('the process is ending')
}

/**
 * Says what must happen before the process may leave.
 *
 * @returns takes it back: for when the thing has ended by itself
 * @throws once the process is ending: then nothing new begins
 */
export function beforeEnd(action: Ending): () => void {
  breakOff()
  endings.add(action)
  return () => void endings.delete(action)
}

const saves = new Set<Ending>()

/**
 * Says what is written once more when the process is asked to leave, while that is still allowed: before anything
 * breaks off.
 *
 * @returns takes it back: for when all is written
 */
export function saveBeforeEnd(action: Ending): () => void {
  breakOff()
  saves.add(action)
  return () => void saves.delete(action)
}

/** Does work that the process must not leave in the middle of; it calls {@link breakOff} wherever it can stop cleanly. */
export async function unbroken<T>(work: () => Promise<T>): Promise<T> {
  let settled: Promise<unknown> | undefined
  const release = beforeEnd(() => settled)
  try {
    const working = work()
    settled = working.catch(() => {})
    return await working
  } finally {
    release()
  }
}

/** Ends everything, what began last first, behind what is to be saved. */
export async function endAll(): Promise<void> {
  await inOrder(saves)
  ending = true
  await inOrder([...endings].reverse())
}

async function inOrder(actions: Iterable<Ending>): Promise<void> {
  for (const action of actions) {
    try {
      await action()
    } catch {} // nobody is left to be told
  }
}

let wish: (() => void) | undefined

/**
 * Lets the command under way end by itself, before anything is stopped: `ask` is called once when the process is asked
 * to leave, and the process waits until the command is over. A training run saves.
 *
 * @returns takes it back
 */
export function finishFirst(ask: () => void): () => void {
  wish = ask
  return () => {
    wish = undefined
  }
}

/** Asks the command under way to end by itself; whether there is one that does. */
export function askToFinish(): boolean {
  wish?.()
  return wish !== undefined
}

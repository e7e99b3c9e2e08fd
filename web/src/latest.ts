/** A queue for what is asked faster than it is answered: one run under way, one waiting, and the newest wins. */

/**
 * Makes a function that may be called at any rate.
 *
 * @param run - answers one question; never called while an earlier call is unanswered
 * @param failed - told of what `run` threw; the queue goes on
 * @returns asks: while a run is under way the newest question waits, and those before it are dropped
 */
export function latestWins<Question>(
  run: (question: Question) => Promise<void>,
  failed: (error: unknown) => void,
): (question: Question) => void {
  let running = false
  let waiting: { readonly question: Question } | undefined

  async function work(): Promise<void> {
    running = true
    for (let next = waiting; next; next = waiting) {
      waiting = undefined
      await run(next.question).catch(failed)
    }
    running = false
  }

  return (question) => {
    waiting = { question }
    if (!running) void work()
  }
}

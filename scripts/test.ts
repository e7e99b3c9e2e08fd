/**
 * Runs the test files that are named, one more than there are processors at a time: `npm run unit`.
 *
 * Some wait, for a browser or a command that they started. `node --test` leaves a processor idle, and older releases of
 * Node 20 have no option for it.
 */

import { availableParallelism } from 'node:os'
import { run } from 'node:test'
import { spec, tap } from 'node:test/reporters'

const results = run({ files: process.argv.slice(2), concurrency: availableParallelism() + 1 })
results.on('test:fail', () => {
  process.exitCode = 1
})
results.compose(process.stdout.isTTY ? new spec() : tap).pipe(process.stdout)

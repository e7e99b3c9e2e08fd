/** The engine in a thread of its own, so that the page never waits for it. */

import { warmRuntime } from 'idlevit'
import { engine } from './engine.js'
import { serve } from './rpc.js'

warmRuntime().catch(() => {}) // while the model comes, which says what is wrong

serve(engine(), self as unknown as Worker)

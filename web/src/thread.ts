/** The engine in a thread of its own, so that the page never waits for it. */

import { engine } from './engine.js'
import { serve } from './rpc.js'

serve(engine(), self as unknown as Worker)

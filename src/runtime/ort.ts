/** onnxruntime-node by `require`: as an import, a CommonJS package is read twice, once to find its names. */

import { createRequire } from 'node:module'
import { fail } from '../errors.js'
import type { OrtPackage } from './session.js'

// Microsoft's builds send usage data and leave a file in the system's temporary folder for every process: not for us.
process.env.ORT_DISABLE_TELEMETRY ??= '1'

const ort = load(createRequire(import.meta.url))

// What goes wrong is thrown and told by whoever catches it; the native log would only repeat it on stderr.
ort.env.logLevel = 'fatal'

export const nodeRuntime = ort as unknown as OrtPackage

/** npm and yarn leave an optional dependency out, in silence, when its install script fails: see docs/install.md. */
function load(require: NodeJS.Require): typeof import('onnxruntime-node') {
  try {
    return require('onnxruntime-node')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'MODULE_NOT_FOUND' || !message.includes("'onnxruntime-node'")) throw error
    return fail(
      'onnxruntime-node is not installed, which happens where its install script cannot download its CUDA libraries; ' +
        'install again without them: ONNXRUNTIME_NODE_INSTALL=skip npm install (docs/install.md)',
    )
  }
}

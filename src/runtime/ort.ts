/** onnxruntime-node by `require`: as an import, a CommonJS package is read twice, once to find its names. */

import { createRequire } from 'node:module'
import type { OrtPackage } from './session.js'

// Microsoft's builds send usage data and leave a file in the system's temporary folder for every process: not for us.
process.env.ORT_DISABLE_TELEMETRY ??= '1'

const ort = createRequire(import.meta.url)('onnxruntime-node') as typeof import('onnxruntime-node')

// What goes wrong is thrown and told by whoever catches it; the native log would only repeat it on stderr.
ort.env.logLevel = 'fatal'

export const nodeRuntime = ort as unknown as OrtPackage

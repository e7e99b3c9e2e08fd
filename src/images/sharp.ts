/** sharp, set up for many small pictures, by `require`: its CommonJS build loads in half the time of the other. */

import { createRequire } from 'node:module'
import type sharpFactory from 'sharp'

export type { Sharp, SharpOptions } from 'sharp'

export const sharp = createRequire(import.meta.url)('sharp') as typeof sharpFactory

// The pictures are decoded on threads of our own: libvips' operation cache and inner threads would only cost memory.
sharp.cache(false)
sharp.concurrency(1)

/** The methods that the library has. */

import type { Method } from 'idlevit'

export const methodNames = ['none', 'idle'] as const satisfies readonly Method[]

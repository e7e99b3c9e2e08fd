/** Procedural scenes as a data set: `scenes[:SEED[:COUNT]]`. */
import { fail } from '../../errors.js'
import type { Dataset } from '../dataset.js'
import { sceneClasses, sceneLabel, sceneSeeds } from './scene.js'

const DEFAULT_COUNT = 2000
const MOST = 2_000_000 // names and labels are kept in memory

/** Whether `spec` asks for scenes, well or badly. A file or folder of that name is `./scenes`. */
export const asksForScenes = (spec: string): boolean => /^scenes(:|$)/.test(spec)

/**
 * Pictures 0 to COUNT - 1 of the set of SEED; without these, 2,000 of the test set, which nothing is trained on.
 *
 * @throws InputError when the seed or the count is no number within bounds
 */
export function openScenes(spec: string): Dataset {
  const match = /^scenes(?::(\d+)(?::(\d+))?)?$/.exec(spec)
  if (!match) fail(`${spec}: wanted scenes[:SEED[:COUNT]], both non-negative integers, such as scenes:7:2000`)
  const seed = Number(match[1] ?? sceneSeeds.test)
  const count = Number(match[2] ?? DEFAULT_COUNT)
  if (!Number.isSafeInteger(seed)) fail(`${spec}: the seed must be at most ${Number.MAX_SAFE_INTEGER}`)
  if (count < 1 || count > MOST) fail(`${spec}: the number of pictures must be from 1 to ${MOST}, found ${match[2]}`)
  return {
    name: spec,
    samples: Array.from({ length: count }, (_, i) => ({ name: `scenes:${seed}#${i}`, label: sceneLabel(seed, i) })),
    classNames: sceneClasses,
    source(index) {
      if (index >= count) fail(`${spec}: no picture ${index}, it has ${count}`)
      return { kind: 'scene', seed, index }
    },
    close: async () => {},
  }
}

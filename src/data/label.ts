/** Class indices as text: in list files and `.cls` entries. */

import { fail } from '../errors.js'

/**
 * A label as a number.
 *
 * @param where what an error names: file and line, or entry
 */
export function checkLabel(text: string, classes: number | undefined, where: string): number {
  if (!/^\d+$/.test(text)) fail(`${where}: wanted a class index, found '${text.slice(0, 80)}'`)
  const label = Number(text)
  if (label > 2 ** 31 - 1 || (classes !== undefined && label >= classes)) {
    fail(`${where}: label ${text} is out of range${classes === undefined ? '' : ` (0 to ${classes - 1})`}`)
  }
  return label
}

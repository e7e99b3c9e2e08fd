/** What lies among the pictures of a data set and is not used: listed one by one, told by kind. */

/** A file, an entry of an archive or a line that is not used, and why. */
export interface LeftOut {
  /** Path of the file; `shard.tar/entry`, `list.txt:12`. */
  readonly path: string
  readonly reason: string
}

/** Kinds that are told, and names told of each. */
const KINDS = 10
const EXAMPLES = 3

/**
 * Counts by reason, the most frequent first, each with its first names: `12 × .txt is not a picture format (a/1.txt, …)`.
 * What a reason says in brackets at its end differs from file to file and does not part kinds.
 *
 * @returns at most eleven lines, however much was left out
 */
export function countByReason(leftOut: readonly LeftOut[]): string[] {
  const kinds = new Map<string, string[]>()
  for (const { path, reason } of leftOut) {
    const kind = reason.replace(/ \(.*\)$/s, '')
    const paths = kinds.get(kind)
    if (paths) paths.push(path)
    else kinds.set(kind, [path])
  }
  const sorted = [...kinds].sort(([, a], [, b]) => b.length - a.length)
  const lines = sorted.slice(0, KINDS).map(([kind, paths]) => {
    const more = paths.length > EXAMPLES ? ', …' : ''
    return `${paths.length} × ${kind} (${paths.slice(0, EXAMPLES).join(', ')}${more})`
  })
  const rest = sorted.slice(KINDS)
  if (rest.length > 0)
    lines.push(`${rest.reduce((sum, [, paths]) => sum + paths.length, 0)} for ${rest.length} other reasons`)
  return lines
}

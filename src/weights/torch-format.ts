/** What torch checkpoints begin with: apart from their reader, which most models do not need. */

/** Whether a file that starts with `head` is a zip archive. */
export const isZip = (head: Uint8Array): boolean =>
  head[0] === 0x50 && head[1] === 0x4b && head[2] === 3 && head[3] === 4

/** Whether a file that starts with `head` is a pickle of protocol 2 or later. */
export const isPickle = (head: Uint8Array): boolean => head[0] === 0x80 && (head[1] ?? 255) <= 5

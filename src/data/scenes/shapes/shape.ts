/** What a class of objects is: a program that draws one with random proportions. */
import type { Random } from '../../../random.js'
import type { Path } from '../geometry.js'

/** Which of an object's colours a part has: every object gets its own, whatever its class. `detail` stands out. */
export type Tone = 'body' | 'accent' | 'trim' | 'detail'

/** A part of one colour. Later parts lie over earlier ones. */
export interface Part {
  readonly tone: Tone
  readonly path: Path
}

/** Draws the object upright, about 2 across; where and how large it comes into the picture is not its business. */
export type Shape = (random: Random) => Part[]

/** A part made of one or several outlines. */
export const part = (tone: Tone, ...paths: readonly Path[]): Part => ({ tone, path: paths.flat() })

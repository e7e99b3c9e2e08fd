/** Sizes of pictures. */

/** Height and width in pixels; one number is the side of a square. */
export type Sides = number | readonly [height: number, width: number]

/** Height and width. */
export const sidesOf = (size: Sides): readonly [height: number, width: number] =>
  typeof size === 'number' ? [size, size] : size

/** What a file of features is made of. */

/** What a file of features holds. */
export interface Content {
  /** Pictures n. */
  readonly rows: number
  /** Of one picture's features: `[C]`, or `[N0, C]` with all tokens. */
  readonly shape: readonly number[]
  /** Of one picture's prefix rows, `[P, C]`, where they are kept. */
  readonly prefix?: readonly number[]
  readonly half: boolean
  /** By row. */
  readonly paths: readonly string[]
  /** By row, where the pictures have labels. */
  readonly labels?: Int32Array
  readonly classNames?: readonly string[]
  /** Free text: the model, how its tokens were reduced, how pictures were made. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Names of the files in a spool. */
export type RowFile = 'features' | 'prefix'

/** What a model's files are asked for, wherever they are. */

/** The files of one model. */
export interface ModelFiles {
  /** What the model is called. */
  readonly name: string
  /** The hub id, where it is known. */
  readonly id?: string
  /** What messages put before the names of files. */
  readonly where: string
  /** The one file that was asked for, and none else. */
  readonly weights?: string
  /** What lies beside that file may be of other weights. */
  readonly unsure?: boolean
  /** Whether there is such a file; undefined where only asking for it tells. */
  has(file: string): boolean | undefined
  /** The bytes of a file; undefined when there is none. */
  read(file: string): Promise<Uint8Array<ArrayBuffer> | undefined>
}

/** A mistake in what the user gave: shown as one line, without a stack trace. */
export class InputError extends Error {
  override name = 'InputError'

  /** Names from files may hold line breaks and terminal codes: the message stays one plain line. */
  constructor(message: string) {
    super(message.replace(/\p{Cc}+/gu, ' '))
  }
}

/** Throws an {@link InputError}; an expression, so that it can stand behind `??`. */
export function fail(message: string): never {
  throw new InputError(message)
}

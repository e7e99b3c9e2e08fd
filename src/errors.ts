/** A mistake in what the user gave: shown as one line, without a stack trace. */
export class InputError extends Error {
  override name = 'InputError'
}

/** Throws an {@link InputError}; an expression, so that it can stand behind `??`. */
export function fail(message: string): never {
  throw new InputError(message)
}

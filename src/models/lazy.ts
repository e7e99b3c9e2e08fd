/** Builds at the first call, and once. */
export function lazy<T>(build: () => T): () => T {
  let value: T | undefined
  return () => {
    value ??= build()
    return value
  }
}

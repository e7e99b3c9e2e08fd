/** `compute` of every argument once: what several nodes read is made for all of them. */
export function memoize<A extends object, B>(compute: (argument: A) => B): (argument: A) => B {
  const known = new WeakMap<A, B>()
  return (argument) => {
    const value = known.get(argument) ?? compute(argument)
    known.set(argument, value)
    return value
  }
}

/**
 * Dimensions: numbers, or symbols such as `batch` that are known only when a session runs.
 *
 * A symbolic dimension is a sum of products in canonical order ("197*batch", "kept+1"), so that equal
 * expressions are equal strings; ONNX receives the string as `dim_param`.
 */

export type Dim = number | string
export type Shape = readonly Dim[]

/** Values of the symbols, for cost and size questions. */
export type Bindings = Readonly<Record<string, number>>

type Terms = Map<string, number>

const isNumber = (factor: string): boolean => /^-?\d+$/.test(factor)

function terms(dim: Dim): Terms {
  if (typeof dim === 'number') return new Map([['', dim]])
  const sum: Terms = new Map()
  for (const product of dim.split('+')) {
    const factors = product.split('*')
    const coefficient = factors.filter((f) => isNumber(f)).reduce((c, f) => c * Number(f), 1)
    const symbols = factors.filter((f) => !isNumber(f)).sort()
    const key = symbols.join('*')
    sum.set(key, (sum.get(key) ?? 0) + coefficient)
  }
  return sum
}

function canonical(sum: Terms): Dim {
  const constant = sum.get('') ?? 0
  const symbolic = [...sum].filter(([key, c]) => key !== '' && c !== 0).sort(([a], [b]) => (a < b ? -1 : 1))
  if (symbolic.length === 0) return constant
  const parts = symbolic.map(([key, c]) => (c === 1 ? key : `${c}*${key}`))
  return constant === 0 ? parts.join('+') : [...parts, constant].join('+')
}

export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b
  const sum = terms(a)
  for (const [key, c] of terms(b)) sum.set(key, (sum.get(key) ?? 0) + c)
  return canonical(sum)
}

/** Products of symbols found so far: a graph asks for the same few over and over. */
const products = new Map<string, Dim>()

export function multiplyDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b
  if (a === 1 || b === 1) return a === 1 ? b : a
  const key = `(${a})(${b})`
  const known = products.get(key)
  if (known !== undefined) return known
  const product = multiplyTerms(a, b)
  products.set(key, product)
  return product
}

function multiplyTerms(a: Dim, b: Dim): Dim {
  const product: Terms = new Map()
  for (const [ka, ca] of terms(a)) {
    for (const [kb, cb] of terms(b)) {
      const key = [...ka.split('*'), ...kb.split('*')]
        .filter((s) => s !== '')
        .sort()
        .join('*')
      product.set(key, (product.get(key) ?? 0) + ca * cb)
    }
  }
  return canonical(product)
}

/**
 * How many of so many things have an even number, or an odd one, counted from 0. Of a symbol it is a symbol: "odd(kept3)".
 */
export function halfDim(dim: Dim, which: 'even' | 'odd'): Dim {
  if (typeof dim === 'number') return which === 'even' ? Math.ceil(dim / 2) : Math.floor(dim / 2)
  if (/[+*]/.test(dim)) throw new Error(`half of ${dim}: wanted a number or one symbol`)
  return `${which}(${dim})`
}

/** Number of elements of a shape. Numbers first: they multiply fast, symbols only once. */
export function elements(shape: Shape): Dim {
  const known = shape.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1)
  return shape.reduce<Dim>((product, dim) => (typeof dim === 'number' ? product : multiplyDims(product, dim)), known)
}

/** How many elements a shape has where every symbol is 1: those of one picture, say. */
export const unitElements = (shape: Shape): number =>
  shape.reduce<number>((product, dim) => product * [...terms(dim).values()].reduce((sum, c) => sum + c, 0), 1)

/** The number a dimension has under `bindings`; throws on an unbound symbol. */
export function evaluateDim(dim: Dim, bindings: Bindings = {}): number {
  if (typeof dim === 'number') return dim
  const bound = bindings[dim]
  if (bound !== undefined) return bound
  let value = 0
  for (const [key, coefficient] of terms(dim)) {
    value += key.split('*').reduce((product, symbol) => {
      if (symbol === '') return product
      const bound = evaluateSymbol(symbol, bindings)
      if (bound === undefined) throw new Error(`dimension ${dim}: no value for ${symbol}`)
      return product * bound
    }, coefficient)
  }
  return value
}

/** The value of a symbol, or of a half of one ({@link halfDim}); `undefined` where it is not known. */
function evaluateSymbol(symbol: string, bindings: Bindings): number | undefined {
  const [, which, whole] = /^(even|odd)\((.*)\)$/.exec(symbol) ?? []
  if (whole === undefined) return bindings[symbol]
  const value = evaluateSymbol(whole, bindings)
  return value === undefined ? undefined : Number(halfDim(value, which as 'even' | 'odd'))
}

export const evaluateShape = (shape: Shape, bindings: Bindings = {}): number[] =>
  shape.map((dim) => evaluateDim(dim, bindings))

/** True for equal dimensions in the same order; a symbol equals itself alone. */
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i])

/** Dimensions of `a` and `b` broadcast together (ONNX multidirectional broadcasting). */
export function broadcast(a: Shape, b: Shape): Dim[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1
    const y = b[i - rank + b.length] ?? 1
    if (x === y || y === 1) return x
    if (x === 1) return y
    throw new Error(`shapes [${a}] and [${b}] do not broadcast`)
  })
}

/**
 * Random numbers that are the same bits on every machine and can be stopped and resumed.
 *
 * The generator is xoshiro128** 1.1 (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM TOMS 47,
 * 2021), seeded through SplitMix64 as its authors advise. Normal numbers come from the inverse normal distribution,
 * Wichura's algorithm AS 241 (PPND16, Applied Statistics 37, 1988). Math.log and Math.cos may differ between engines,
 * so nothing here uses more than + - * / and the square root, which IEEE 754 fixes to the last bit.
 * Safe in browsers; not for cryptography.
 */
import { fail } from './errors.js'

/** The generator's four 32-bit words: save them to resume exactly here. */
export type RandomState = readonly [number, number, number, number]

/** A stream of random numbers. */
export interface Random {
  /** An integer in [0, 2³²). */
  bits(): number
  /** A number in [0, 1), a multiple of 2⁻⁵³. */
  uniform(): number
  /** A standard normal number; takes one uniform, so the state alone resumes the stream. */
  normal(): number
  /** An integer in [0, n), every value equally likely; n ≤ 2³². */
  integer(n: number): number
  /** The present state, as plain integers that survive JSON. */
  getState(): RandomState
  setState(state: RandomState): void
}

const mask64 = (1n << 64n) - 1n

/** Four words from a seed (SplitMix64, two outputs). */
function expandSeed(seed: number): RandomState {
  let x = BigInt(seed) & mask64
  const next = () => {
    x = (x + 0x9e3779b97f4a7c15n) & mask64
    let z = ((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n) & mask64
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask64
    z ^= z >> 31n
    return [Number(z & 0xffffffffn), Number(z >> 32n)] as const
  }
  const [a, b] = next()
  const [c, d] = next()
  return [a, b, c, d]
}

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k))

/**
 * A stream of random numbers for a seed: any integer that a double holds exactly.
 *
 * @throws InputError when the seed is not such an integer.
 */
export function createRandom(seed: number): Random {
  if (!Number.isSafeInteger(seed)) fail(`a seed must be an integer, found ${seed}`)
  let [s0, s1, s2, s3] = expandSeed(seed)

  const bits = () => {
    const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0
    const t = s1 << 9
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    s3 = rotate(s3, 11)
    return result
  }
  const uniform = () => ((bits() >>> 5) * 0x4000000 + (bits() >>> 6)) / 2 ** 53

  return {
    bits,
    uniform,
    // Half a step away from 0 and 1, where the inverse is infinite.
    normal: () => inverseNormal(uniform() + 2 ** -54),
    integer(n) {
      if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) fail(`a range must be an integer from 1 to 2^32, found ${n}`)
      // Rejection: values from the last, incomplete run of n would make small results likelier.
      const limit = 2 ** 32 - (2 ** 32 % n)
      let value = bits()
      while (value >= limit) value = bits()
      return value % n
    },
    getState: () => [s0 >>> 0, s1 >>> 0, s2 >>> 0, s3 >>> 0],
    setState(state) {
      const words: readonly unknown[] = Array.isArray(state) ? state : []
      const valid =
        words.length === 4 && words.every((word) => Number.isInteger(word) && word === (word as number) >>> 0)
      if (!valid || words.every((word) => word === 0)) fail('a random state must be four 32-bit integers, not all zero')
      ;[s0, s1, s2, s3] = state
    },
  }
}

/** Shuffles `items` in place (Fisher and Yates) and returns it. */
export function shuffle<Item>(items: Item[], random: Random): Item[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.integer(i + 1)
    const item = items[i] as Item
    items[i] = items[j] as Item
    items[j] = item
  }
  return items
}

/** A polynomial, constant term first. */
function polynomial(coefficients: readonly number[], x: number): number {
  let sum = 0
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + (coefficients[i] as number)
  return sum
}

// AS 241: numerator and denominator of the three ranges, constant term first.
const centre = [
  [
    3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987, 67265.7709270087,
    33430.57558358813, 2509.0809287301227,
  ],
  [
    1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271,
    28729.085735721943, 5226.495278852854,
  ],
] as const
const middle = [
  [
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
    0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
  ],
  [
    1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
    0.0005475938084995345, 1.0507500716444169e-9,
  ],
] as const
const tail = [
  [
    6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
    0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
  ],
  [
    1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133, 1.8463183175100548e-5,
    1.421511758316446e-7, 2.0442631033899397e-15,
  ],
] as const

const ratio = ([numerator, denominator]: readonly [readonly number[], readonly number[]], x: number): number =>
  polynomial(numerator, x) / polynomial(denominator, x)

/** The standard normal number below which a share `p` (0 < p < 1) of the distribution lies. */
export function inverseNormal(p: number): number {
  const q = p - 0.5
  if (Math.abs(q) <= 0.425) return q * ratio(centre, 0.180625 - q * q)
  const r = Math.sqrt(-naturalLogarithm(q < 0 ? p : 1 - p))
  const magnitude = r <= 5 ? ratio(middle, r - 1.6) : ratio(tail, r - 5)
  return q < 0 ? -magnitude : magnitude
}

/** ln x for 0 < x < 1: x = m 2ᵏ with m in [√½, √2), ln m = 2 artanh((m - 1) / (m + 1)) by its series. */
function naturalLogarithm(x: number): number {
  let m = x
  let k = 0
  while (m < Math.SQRT1_2) {
    m *= 2
    k--
  }
  const z = (m - 1) / (m + 1)
  const square = z * z // at most 0.0295, so the term in z²³ is below 1e-18
  let sum = 0
  for (let n = 21; n >= 1; n -= 2) sum = sum * square + 1 / n
  return 2 * z * sum + k * Math.LN2
}

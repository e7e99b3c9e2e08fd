/**
 * Option values: readers that turn the text behind an option into a checked value.
 *
 * A reader gets the text and the option's name, and throws an InputError that names the option, what was wanted and
 * what was found. Commands with lists where others take one value (`bench --batch 1,16`) build them with {@link list}.
 */
import { fail } from '../errors.js'
import { type PerChannel, unlikelyMean, unlikelyStd } from '../images/preprocess.js'
import type { Sides } from '../images/sides.js'
import { percentHint } from '../reduction/schedule.js'

/** Turns the text behind `option` (as in `--batch`) into a value. @throws InputError when the text does not fit */
export type Reader<T> = (text: string, option: string) => T

const reject = (option: string, wanted: string, found: string): never =>
  fail(`${option}: wanted ${wanted}, found ${/^[\w.+-]+$/.test(found) ? found : JSON.stringify(found)}`)

/** Any finite number that passes `accepts`, in decimal or scientific spelling. */
function decimal(wanted: string, accepts: (value: number) => boolean): Reader<number> {
  return (text, option) => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : Number.NaN
    return Number.isFinite(value) && accepts(value) ? value : reject(option, wanted, text)
  }
}

/** A finite number. */
export const number = decimal('a number', () => true)

/** A number above 0. */
export const positive = decimal('a number above 0', (value) => value > 0)

/** A probability, or more where nothing should reach it. */
export const confidence = decimal('a number from 0 on', (value) => value >= 0)

/** A share of the tokens: above 0 and at most 1. */
export const ratio: Reader<number> = (text, option) => {
  const wanted = 'a number above 0 and at most 1'
  const [, percent] = /^(\d+(?:\.\d+)?) ?%?$/.exec(text.trim()) ?? []
  const hint = percentHint(Number(percent))
  if (hint !== '') fail(`${option}: wanted ${wanted}, found ${text.trim()}${hint}`)
  return decimal(wanted, (value) => value > 0 && value <= 1)(text, option)
}

/** A whole number from `least` to `most`, in plain digits. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER): Reader<number> {
  const wanted =
    most === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${least}` : `a whole number from ${least} to ${most}`
  return (text, option) => {
    const value = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN
    return value >= least && value <= most ? value : reject(option, wanted, text)
  }
}

/** A size of pictures: one side of a square, or height and width as in `384x128`. A square told twice is one side. */
export function sizes(side: Reader<number>): Reader<Sides> {
  return (text, option) => {
    const [, height, width] = /^\s*(\d+)\s*[x×]\s*(\d+)\s*$/i.exec(text) ?? []
    if (height === undefined || width === undefined)
      return /x/i.test(text) ? reject(option, 'HxW as in 384x128', text) : side(text, option)
    const [rows, columns] = [side(height, `${option}, height`), side(width, `${option}, width`)]
    return rows === columns ? rows : [rows, columns]
  }
}

/** One of the known names. */
export function oneOf<const T extends string>(...known: readonly T[]): Reader<T> {
  return (text, option) => known.find((name) => name === text) ?? reject(option, `one of ${known.join(', ')}`, text)
}

/** Text that is not blank: a name or a path. */
export function text(wanted: string): Reader<string> {
  return (given, option) => (given.trim() === '' ? reject(option, wanted, given) : given)
}

/** Values separated by commas. Errors name the entry, counted from 1. */
export function list<T>(entry: Reader<T>): Reader<readonly T[]> {
  return (text, option) => text.split(',').map((each, index) => entry(each.trim(), `${option}, entry ${index + 1}`))
}

/** Three values separated by commas: red, green, blue. */
export function perChannel(entry: Reader<number>): Reader<PerChannel> {
  return (text, option) => {
    const [red, green, blue, ...more] = list(entry)(text, option)
    if (red === undefined || green === undefined || blue === undefined || more.length > 0) {
      return reject(option, 'three numbers separated by commas', text)
    }
    return [red, green, blue]
  }
}

const likely =
  (entry: Reader<number>, unlikely: (values: PerChannel) => string | undefined): Reader<PerChannel> =>
  (text, option) => {
    const values = perChannel(entry)(text, option)
    const complaint = unlikely(values)
    return complaint === undefined ? values : fail(`--${complaint}`)
  }

/** Means of values from 0 to 1, by channel. */
export const means = likely(number, unlikelyMean)

/** Standard deviations of values from 0 to 1, by channel. */
export const deviations = likely(positive, unlikelyStd)

/** A seed of a random generator: 32 bits. */
export const seed = whole(0, 2 ** 32 - 1)

/** Where seeded random weights come from: `random:SEED`, given back as it is once checked. */
export const randomInit: Reader<string> = (text, option) => {
  const [, digits] = /^random:(\d+)$/.exec(text) ?? reject(option, 'random:SEED, as in random:0', text)
  seed(digits ?? '', option)
  return text
}

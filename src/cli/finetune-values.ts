/** Readers of the values that only `idlevit finetune` takes. */

import { fail } from '../errors.js'
import type { Rate } from '../training/rates.js'
import type { KeepRatio } from '../training/recipe.js'
import { number, type Reader, ratio, seed } from './values.js'

/** `K`, or `LOW..HIGH` for an elastic run. */
export const keepRatioReader: Reader<KeepRatio> = (given, option) => {
  const [low = '', high, ...more] = given.split('..')
  if (high === undefined) return ratio(given, option)
  const range = { low: ratio(low.trim(), option), high: ratio(high.trim(), option) }
  if (more.length > 0 || range.low >= range.high)
    fail(`${option}: wanted a ratio, or LOW..HIGH with LOW below HIGH, found ${JSON.stringify(given)}`)
  return range
}

/** `LEAST..MOST`, two shares of the area. */
export const scaleReader: Reader<readonly [number, number]> = (given, option) => {
  const [least, most, ...more] = given.split('..')
  if (least === undefined || most === undefined || more.length > 0)
    return fail(`${option}: wanted two shares, as in 0.08..1, found ${JSON.stringify(given)}`)
  return [ratio(least, option), ratio(most, option)]
}

/** A number by name, as in `ratio=2`. */
export interface NamedNumber {
  readonly name: string
  readonly value: number
}

export const namedNumber: Reader<NamedNumber> = (given, option) => {
  const at = given.lastIndexOf('=')
  if (at < 1) return fail(`${option}: wanted name=number, found ${JSON.stringify(given)}`)
  return { name: given.slice(0, at), value: number(given.slice(at + 1), option) }
}

/** `PATTERN=FACTOR`, or `PATTERN=FACTOR@EPOCH`. */
export const rateReader: Reader<Rate> = (given, option) => {
  const [, rate = given, epoch] = /^(.*)@(\d+)$/.exec(given) ?? []
  const { name, value } = namedNumber(rate, option)
  return { names: name, factor: value, ...(epoch !== undefined && { from: Number(epoch) }) }
}

/** `FROM..UNTIL`, two epochs. */
export const epochsReader: Reader<{ readonly from: number; readonly until: number }> = (given, option) => {
  const [from, until, ...more] = given.split('..')
  if (from === undefined || until === undefined || more.length > 0)
    return fail(`${option}: wanted two epochs, as in 10..110, found ${JSON.stringify(given)}`)
  return { from: number(from, option), until: number(until, option) }
}

/** `random`, or `random:SEED`. */
export const initReader: Reader<string> = (given, option) => {
  const [, digits] =
    /^random(?::(\d+))?$/.exec(given) ?? fail(`${option}: wanted random or random:SEED, found ${given}`)
  if (digits !== undefined) seed(digits, option)
  return given
}

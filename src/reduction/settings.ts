/** Readers for the options of methods. */

import type { Setting } from './method.js'

type Reader<T> = Pick<Setting<T>, 'wanted' | 'parse'>

/** `true` or `false`. */
export const flag: Reader<boolean> = {
  wanted: 'true or false',
  parse: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
}

/** A whole number from `least` on. */
export const whole = (least: number): Reader<number> => ({
  wanted: `a whole number of at least ${least}`,
  parse: (text) => (/^\d+$/.test(text) && Number(text) >= least ? Number(text) : undefined),
})

/** A whole number from 0 on, or several separated by commas. */
export const wholes: Reader<number | readonly number[]> = {
  wanted: 'a whole number of at least 0, or one for each block, separated by commas',
  parse: (text) => {
    if (!/^\d+(,\d+)*$/.test(text)) return undefined
    const values = text.split(',').map(Number)
    return values.length === 1 ? values[0] : values
  },
}

/** A number. */
export const real: Reader<number> = {
  wanted: 'a number',
  parse: (text) => (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : undefined),
}

const realWhere = (wanted: string, fits: (value: number) => boolean): Reader<number> => ({
  wanted,
  parse: (text) => {
    const value = real.parse(text)
    return value !== undefined && fits(value) ? value : undefined
  },
})

/** A share from 0 to 1. */
export const share = realWhere('a number from 0 to 1', (value) => value >= 0 && value <= 1)

/** A share of something: above 0 and at most 1. */
export const positiveShare = realWhere('a number above 0 and at most 1', (value) => value > 0 && value <= 1)

/** One of some names. */
export const oneOf = <const T extends string>(...names: readonly T[]): Reader<T> => ({
  wanted: names.join(' or '),
  parse: (text) => names.find((name) => name === text),
})

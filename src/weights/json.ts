/** Reading fields of JSON files that others wrote: what is there is used or refused by its name. Safe in browsers. */
import { fail } from '../errors.js'
import { nameText } from './state.js'

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a value is an object of JSON: no array, no null. */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A value that a file gives, and the field that it stands in. */
export interface Said<T> {
  readonly value: T
  readonly field: string
}

/** A value for messages: JSON, cut short. */
export const quoted = (value: unknown): string => nameText(JSON.stringify(value) ?? String(value))

/** Readers of an object's fields; an absent field, and one that is null, is undefined. */
export interface Fields {
  /** Throws: the field should be something else. */
  wrong(name: string, wanted: string): never
  /** A positive integer. */
  count(name: string): Said<number> | undefined
  /** A finite number that `good` accepts. */
  number(name: string, wanted: string, good: (value: number) => boolean): number | undefined
  flag(name: string): boolean | undefined
  text(name: string): string | undefined
  object(name: string): JsonObject | undefined
  /** Refuses every value but the allowed ones. */
  only(name: string, allowed: readonly unknown[], why?: string): void
}

/**
 * @param source - what to call the file in messages
 * @param path - where in the file the object stands, as in `pretrained_cfg.`
 */
export function fieldsOf(json: JsonObject, source: string, path = ''): Fields {
  const wrong = (name: string, wanted: string): never =>
    fail(`${source}: ${path}${name} should be ${wanted}, found ${quoted(json[name])}`)
  const get = (name: string): unknown => (Object.hasOwn(json, name) ? (json[name] ?? undefined) : undefined)
  const number: Fields['number'] = (name, wanted, good) => {
    const value = get(name)
    if (value === undefined) return undefined
    return typeof value === 'number' && Number.isFinite(value) && good(value) ? value : wrong(name, wanted)
  }
  return {
    wrong,
    number,
    count(name) {
      const value = number(name, 'a positive integer', (given) => Number.isInteger(given) && given > 0)
      return value === undefined ? undefined : { value, field: `${path}${name}` }
    },
    flag(name) {
      const value = get(name)
      return value === undefined || typeof value === 'boolean' ? value : wrong(name, 'true or false')
    },
    text(name) {
      const value = get(name)
      return value === undefined || typeof value === 'string' ? value : wrong(name, 'a text')
    },
    object(name) {
      const value = get(name)
      return value === undefined || isObject(value) ? value : wrong(name, 'an object')
    },
    only(name, allowed, why = '') {
      const value = get(name)
      if (value === undefined || allowed.includes(value)) return
      wrong(name, `${allowed.map((each) => JSON.stringify(each)).join(' or ')}${why}`)
    },
  }
}

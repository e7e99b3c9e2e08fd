/** What the scenes draw from a stream of random numbers. */
import type { Random } from '../../random.js'

/** A number in [low, high). */
export const between = (random: Random, low: number, high: number): number => low + (high - low) * random.uniform()

/** True with the given probability. */
export const chance = (random: Random, probability: number): boolean => random.uniform() < probability

/** One of `items`, every one equally likely. */
export const pick = <Item>(random: Random, items: readonly Item[]): Item => items[random.integer(items.length)] as Item

/** An integer from `low` to `high`, both included. */
export const count = (random: Random, low: number, high: number): number => low + random.integer(high - low + 1)

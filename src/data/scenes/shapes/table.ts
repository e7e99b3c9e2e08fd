/** The classes of objects, in the order of their labels. */
import { cup, guitar, key, shoe, umbrella } from './belongings.js'
import { house } from './buildings.js'
import { chair, clock, lamp } from './furniture.js'
import { bird, fish, mushroom, tree } from './nature.js'
import type { Shape } from './shape.js'
import { boat, car, rocket } from './vehicles.js'

/** A class: its name, how to draw one, and how far from upright it may lie, in degrees either way. */
export interface ObjectClass {
  readonly name: string
  readonly draw: Shape
  readonly tilt: number
}

export const objectClasses: readonly ObjectClass[] = [
  { name: 'bird', draw: bird, tilt: 30 },
  { name: 'boat', draw: boat, tilt: 25 },
  { name: 'car', draw: car, tilt: 30 },
  { name: 'chair', draw: chair, tilt: 25 },
  { name: 'clock', draw: clock, tilt: 40 },
  { name: 'cup', draw: cup, tilt: 35 },
  { name: 'fish', draw: fish, tilt: 60 },
  { name: 'guitar', draw: guitar, tilt: 60 },
  { name: 'house', draw: house, tilt: 25 },
  { name: 'key', draw: key, tilt: 60 },
  { name: 'lamp', draw: lamp, tilt: 30 },
  { name: 'mushroom', draw: mushroom, tilt: 40 },
  { name: 'rocket', draw: rocket, tilt: 60 },
  { name: 'shoe', draw: shoe, tilt: 35 },
  { name: 'tree', draw: tree, tilt: 20 },
  { name: 'umbrella', draw: umbrella, tilt: 50 },
]

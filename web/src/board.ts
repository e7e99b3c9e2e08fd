/** Pictures with marks on their patches: one drawing for the large picture, the small multiples and the methods. */

import { ramp } from 'virtual:ramp'
import { attentionPlace, type TokenState, tokenMarks } from 'idlevit'

const SVG = 'http://www.w3.org/2000/svg'

/** A picture that can be given other marks. */
export interface Board {
  readonly svg: SVGSVGElement
  /** @param address - of the square picture, `side` pixels wide */
  show(address: string, side: number): void
  mark(states: readonly TokenState[]): void
  /** Lays attention over the picture, or takes it away. */
  heat(attention: ArrayLike<number> | undefined, rows: number): void
  /** Frames one patch. */
  point(patch: number | undefined, grid: number): void
}

export function createBoard(svg = document.createElementNS(SVG, 'svg')): Board {
  const add = <Tag extends keyof SVGElementTagNameMap>(tag: Tag, name: string) => {
    const element = document.createElementNS(SVG, tag)
    element.setAttribute('class', name)
    svg.append(element)
    return element
  }
  const fill = (element: SVGElement, side: number) => {
    element.setAttribute('width', String(side))
    element.setAttribute('height', String(side))
  }
  const photo = add('image', 'photo')
  const heat = add('image', 'heat')
  const marks = add('g', 'marks')
  const cursor = add('rect', 'cursor')
  heat.setAttribute('preserveAspectRatio', 'none')
  cursor.setAttribute('visibility', 'hidden')
  svg.setAttribute('aria-hidden', 'true')
  let size = 96

  return {
    svg,
    show(address, side) {
      size = side
      svg.setAttribute('viewBox', `0 0 ${side} ${side}`)
      photo.setAttribute('href', address)
      fill(photo, side)
      fill(heat, side)
    },
    mark(states) {
      marks.innerHTML = tokenMarks(states, size)
    },
    heat(attention, rows) {
      svg.classList.toggle('heated', attention !== undefined)
      heat.setAttribute('href', attention ? heatAddress(attention, rows) : '')
    },
    point(patch, grid) {
      cursor.setAttribute('visibility', patch === undefined ? 'hidden' : 'visible')
      if (patch === undefined) return
      const cell = size / grid
      cursor.setAttribute('x', String((patch % grid) * cell))
      cursor.setAttribute('y', String(Math.floor(patch / grid) * cell))
      fill(cursor, cell)
    },
  }
}

/** Colour of attention on the scale that `visualize` uses, as three bytes. */
export function rampColour(value: number, rows: number): readonly [number, number, number] {
  const at = Math.round(attentionPlace(value, rows) * (ramp.length / 3 - 1)) * 3
  return [ramp[at] as number, ramp[at + 1] as number, ramp[at + 2] as number]
}

/** Attention of a square of patches as a picture of one pixel a patch. */
function heatAddress(attention: ArrayLike<number>, rows: number): string {
  const grid = Math.sqrt(attention.length)
  const canvas = Object.assign(document.createElement('canvas'), { width: grid, height: grid })
  const data = new ImageData(grid, grid)
  for (let i = 0; i < attention.length; i++) data.data.set([...rampColour(attention[i] as number, rows), 255], i * 4)
  canvas.getContext('2d')?.putImageData(data, 0, 0)
  return canvas.toDataURL()
}

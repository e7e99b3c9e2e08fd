/** How colours are seen: contrast, and what is left of a difference without one kind of cone. */

export type Rgb = readonly [red: number, green: number, blue: number]

/** Linear light of `#rrggbb`, 0 to 1. */
export function linear(hex: string): Rgb {
  const channel = (at: number) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }
  return [channel(1), channel(3), channel(5)]
}

/** Relative luminance of WCAG 2.2. */
const luminance = ([r, g, b]: Rgb): number => 0.2126 * r + 0.7152 * g + 0.0722 * b

/** Contrast ratio of WCAG 2.2, 1 to 21. */
export function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [a, b].map((hex) => luminance(linear(hex))).sort((x, y) => y - x)
  return (high + 0.05) / (low + 0.05)
}

/** `over` at an opacity on `under`, as screens mix: `#rrggbb`. */
export function mixed(over: string, opacity: number, under: string): string {
  const part = (hex: string, at: number) => Number.parseInt(hex.slice(at, at + 2), 16)
  const byte = (at: number) => Math.round(opacity * part(over, at) + (1 - opacity) * part(under, at))
  return `#${[1, 3, 5].map((at) => byte(at).toString(16).padStart(2, '0')).join('')}`
}

type Matrix = readonly [Rgb, Rgb, Rgb]

/** Linear light as it is seen without red, green or blue cones (Machado, Oliveira and Fernandes 2009, severity 1). */
export const cones: Readonly<Record<'all' | 'no red' | 'no green' | 'no blue', Matrix>> = {
  all: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  'no red': [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  'no green': [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  'no blue': [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
}

/** Distance of two colours in OKLab (Ottosson 2020): about 0.02 is just noticed. */
export function difference(a: string, b: string, seen: Matrix = cones.all): number {
  const [x, y] = [oklab(through(seen, linear(a))), oklab(through(seen, linear(b)))]
  return Math.hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2])
}

const through = (matrix: Matrix, [r, g, b]: Rgb): Rgb => {
  const row = ([x, y, z]: Rgb) => Math.min(1, Math.max(0, x * r + y * g + z * b))
  return [row(matrix[0]), row(matrix[1]), row(matrix[2])]
}

function oklab([r, g, b]: Rgb): Rgb {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ]
}

/** Numbers as people read them. */

/** `93 M`, `1.26 G` */
export function count(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} M`
  return value >= 1e4 ? `${Math.round(value / 1e3)} k` : String(value)
}

/** `4.2 ms`, `312 ms` */
export const milliseconds = (value: number): string => `${value.toFixed(value < 20 ? 1 : 0)} ms`

/** `57 %` */
export const percent = (share: number): string => `${Math.round(share * 100)} %`

/** `1.52×` */
export const times = (ratio: number): string => `${ratio < 0.1 ? ratio.toPrecision(2) : ratio.toFixed(2)}×`

/** `1.8 MB` */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** A keep ratio of the slider, in hundredths. */
export const ratio = (hundredths: number): string => (hundredths / 100).toFixed(2)

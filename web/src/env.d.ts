/// <reference types="vite/client" />

declare module 'virtual:ramp' {
  /** Red, green and blue of 64 steps, dark to bright: `[64 · 3]`. */
  export const ramp: readonly number[]
}

/** What WebAssembly takes in a page or a worker. */

declare global {
  /** Every memory of WebAssembly that was made here. */
  var memories: WebAssembly.Memory[]
}

/** A script that keeps an eye on it; to run before anything else does. */
export const watchWasm = `
  globalThis.memories = []
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(Memory, given) { const memory = new Memory(...given); memories.push(memory); return memory },
  })
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const plain = WebAssembly[name]
    WebAssembly[name] = async (...given) => {
      const made = await plain(...given)
      for (const value of Object.values((made.instance ?? made).exports))
        if (value instanceof WebAssembly.Memory && !memories.includes(value)) memories.push(value)
      return made
    }
  }
`

/** Bytes of them all; runs there. */
export const wasmBytes = (): number => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)

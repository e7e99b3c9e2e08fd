/**
 * Tensors that some layouts keep in another form than timm, after they are renamed: with fewer axes, transposed, packed,
 * masked, beside a batch norm. Safe in browsers.
 */

import { fail } from '../errors.js'
import { floatsOf, nameText, type StateDict, shapeText, type WeightTensor } from './state.js'
import { foldBatchNorms } from './stem.js'

/** A state dict under timm's names with everything in timm's form. */
export function toTimmForm(state: StateDict): StateDict {
  const formed: StateDict = new Map(state)
  for (const [name, axes] of Object.entries({ cls_token: 3, pos_embed: 3 })) {
    const tensor = formed.get(name)
    if (tensor && tensor.shape.length > 0 && tensor.shape.length < axes)
      formed.set(name, { ...tensor, shape: [...new Array(axes - tensor.shape.length).fill(1), ...tensor.shape] })
  }
  moveMerging(formed)
  transposeProjection(formed)
  unpackPooling(formed)
  foldBatchNorms(formed)
  joinGates(formed)
  for (const name of [...formed.keys()]) {
    if (name.endsWith('.attn.qkv.bias_mask')) maskKeyBias(formed, name)
    if (/^rope(_embed)?\.periods$/.test(name)) checkPeriods(formed, name)
  }
  return formed
}

/** A Swin's merging at the start of stages 1, 2, 3 instead of the end of 0, 1, 2, as in timm from 0.9 on. */
function moveMerging(state: StateDict): void {
  const merging = (stage: number) =>
    ['norm.weight', 'norm.bias', 'reduction.weight'].map((name) => `layers.${stage}.downsample.${name}`)
  if (!state.has('layers.0.blocks.0.attn.relative_position_bias_table') || merging(0).some((name) => state.has(name)))
    return
  for (let stage = 1; merging(stage).some((name) => state.has(name)); stage++)
    for (const [i, name] of merging(stage).entries()) {
      const tensor = state.get(name)
      if (tensor) state.set(merging(stage - 1)[i] as string, tensor)
      state.delete(name)
    }
}

/** `[C, D]`, by which rows are multiplied from the left, as a linear layer's `[D, C]`. */
function transposeProjection(state: StateDict): void {
  const name = 'projection.transposed'
  const tensor = state.get(name)
  if (!tensor) return
  const [rows = 0, columns = 0] = tensor.shape
  const values = floatsOf(state, name)
  if (tensor.shape.length !== 2) return
  const data = new Float32Array(values.length)
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) data[c * rows + r] = values[r * columns + c] as number
  state.delete(name)
  state.set('projection.weight', { ...tensor, shape: [columns, rows], data })
}

/** Rows `from … to - 1` of a tensor. */
function rowsOf(state: StateDict, name: string, from: number, to: number): WeightTensor {
  const tensor = state.get(name) as WeightTensor
  const [, ...rest] = tensor.shape
  const stride = rest.reduce((a, b) => a * b, 1)
  const data = floatsOf(state, name).subarray(from * stride, to * stride)
  return { ...tensor, shape: [to - from, ...rest], data }
}

/** Query, key and value of attention pooling in one matrix: the query apart, key and value together. */
function unpackPooling(state: StateDict): void {
  for (const kind of ['weight', 'bias']) {
    const name = `attn_pool.qkv.${kind}`
    const [rows = 0] = state.get(name)?.shape ?? []
    if (rows === 0 || rows % 3 !== 0) continue
    state.set(`attn_pool.q.${kind}`, rowsOf(state, name, 0, rows / 3))
    state.set(`attn_pool.kv.${kind}`, rowsOf(state, name, rows / 3, rows))
    state.delete(name)
  }
}

/** What the two halves of a gated MLP's first layer, and its second layer, are called where they are not timm's `fc1` and `fc2`. */
const gates = [
  ['fc1_g', 'fc1_x'], // timm's SwiGLU
  ['fc1_g', 'fc1'], // Hugging Face's DINOv3, renamed
  ['w1', 'w2'], // official DINOv3
] as const

/** Gated MLPs as timm packs them: `fc1` holds what gates, then what is gated; the official DINOv2 calls the two layers w12 and w3. */
function joinGates(state: StateDict): void {
  const move = (from: string, to: string) => {
    const tensor = state.get(from)
    if (!tensor || state.has(to)) return
    state.delete(from)
    state.set(to, tensor)
  }
  for (const name of [...state.keys()]) {
    const [, mlp = '', layer, kind = ''] = /^(blocks\.\d+\.mlp\.)(fc1_g|w1|w12)(\.(?:weight|bias))$/.exec(name) ?? []
    if (layer === undefined) continue
    if (layer === 'w12') move(name, `${mlp}fc1${kind}`)
    move(`${mlp}w3${kind}`, `${mlp}fc2${kind}`)
    for (const [gate, value] of gates) {
      const [g, v] = [state.get(`${mlp}${gate}${kind}`), state.get(`${mlp}${value}${kind}`)]
      if (gate !== layer || !g || !v || g.shape.join() !== v.shape.join()) continue
      const data = new Float32Array(g.data.length + v.data.length)
      data.set(floatsOf(state, `${mlp}${gate}${kind}`))
      data.set(floatsOf(state, `${mlp}${value}${kind}`), g.data.length)
      const [rows = 0, ...rest] = g.shape
      for (const part of [gate, value]) state.delete(`${mlp}${part}${kind}`)
      state.set(`${mlp}fc1${kind}`, { ...g, shape: [2 * rows, ...rest], data })
      break
    }
  }
}

/** DINOv3's official code multiplies the bias by a mask that is 0 on keys: query and value have a bias, keys have none. */
function maskKeyBias(state: StateDict, name: string): void {
  const mask = floatsOf(state, name)
  const bias = name.replace(/_mask$/, '')
  const third = mask.length / 3
  // Published in bfloat16, some masks are 0 everywhere: nothing has a bias.
  if (mask.every((value) => value === 0)) {
    state.delete(bias)
    state.delete(name)
    return
  }
  const keys = mask.subarray(third, 2 * third)
  const others = [...mask.subarray(0, third), ...mask.subarray(2 * third)]
  if (!keys.every((value) => value === 0 || Number.isNaN(value)) || !others.every((value) => value === 1))
    fail(`${nameText(name)}: wanted a mask that is 0 on keys and 1 elsewhere`)
  if (state.get(bias)?.shape[0] !== mask.length)
    fail(`${nameText(name)} ${shapeText([mask.length])} has no bias of its shape beside it`)
  state.set(bias.replace('qkv.bias', 'q_bias'), rowsOf(state, bias, 0, third))
  state.set(bias.replace('qkv.bias', 'v_bias'), rowsOf(state, bias, 2 * third, 3 * third))
  state.delete(bias)
  state.delete(name)
}

/** Periods of rotary positions follow from one number, which is 100 in every published DINOv3; others are refused. */
function checkPeriods(state: StateDict, name: string): void {
  const periods = floatsOf(state, name)
  const wrong = periods.findIndex((period, i) => Math.abs(period / 100 ** (i / periods.length) - 1) > 0.01) // bfloat16
  if (wrong >= 0)
    fail(`${nameText(name)}: wanted periods from 1 to 100, as in DINOv3, found ${periods[wrong]} at ${wrong}`)
  state.delete(name)
}

/** Keeps image tokens by chance: what every method has to beat. */

import { gatherLast, topK } from '../../src/graph/ops/rows.js'
import { type Method, stateless } from '../../src/reduction/method.js'
import { denseBlock } from '../../src/reduction/none.js'
import { imageRows, keepRows, placesOf } from '../../src/reduction/rows.js'
import { fallingKeep } from '../../src/reduction/schedule.js'

export const random: Method = {
  name: 'random',
  summary: 'keeps tokens by chance',
  shrinks: true,
  settings: {},
  plan: (request, { depth, tokens }) => fallingKeep('random', request, depth, tokens),
  open(build, { keep }) {
    const noise = build.input('noise', ['batch', build.shape.tokens]) // [B, N0], fed at every run
    return stateless((block, rows, reads) => {
      const K = keep[block.index] as number
      if (K === imageRows(rows)) return denseBlock(block, rows, reads)
      const scores = gatherLast(noise, placesOf(rows)) // [B, m]
      const kept = topK(scores, K).indices // [B, K]
      return { ...denseBlock(block, keepRows(rows, kept), reads), kept, scores }
    })
  },
}

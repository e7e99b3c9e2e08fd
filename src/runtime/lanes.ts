/**
 * Several sessions of one model side by side, each on one thread of its own.
 *
 * Threads inside an operator wait for each other at its end, and small operators (selecting, gathering, scoring) gain
 * nothing from them; pictures never wait for each other. Lanes answer large batches faster, a single picture slower, and
 * the main thread stays free. Every lane holds the weights.
 */

import type { OnnxModel } from '../graph/onnx.js'
import { startThread, type Thread } from '../threads.js'
import type { LaneAnswer, LaneQuestion, LaneSettings } from './lane.js'
import { memoryOf, type Session, type SessionOptions, type Values } from './session.js'

type Lane = Thread<LaneQuestion, LaneAnswer>

/**
 * Opens `count` lanes.
 *
 * @throws Error when the model cannot be opened
 */
export async function openLanes(model: OnnxModel, count: number, options: SessionOptions): Promise<Session> {
  const { threads = 1, untuned = false, rewrite = true, once = false } = options // plain data crosses to a thread
  const settings = { model, options: { threads, untuned, rewrite, once } }
  const lanes = Array.from({ length: count }, () => startLane(settings))
  const close = async () => {
    await Promise.all(lanes.map((lane) => lane.close()))
  }
  const [first] = await Promise.all(lanes.map((lane) => lane.ask('open').then(checked))).catch(async (error) => {
    await close()
    throw error
  })
  if (!first || !('inputs' in first)) throw new Error('a lane answered out of turn')
  const idle = [...lanes]
  const queue: ((lane: Lane) => void)[] = []
  const take = (): Promise<Lane> => {
    const lane = idle.pop()
    return lane ? Promise.resolve(lane) : new Promise((resolve) => queue.push(resolve))
  }
  const giveBack = (lane: Lane) => {
    const next = queue.shift()
    if (next) next(lane)
    else idle.push(lane)
  }
  return {
    inputs: first.inputs,
    outputs: first.outputs,
    lanes: count,
    async run(feeds, wanted) {
      if (wanted && !Array.isArray(wanted)) throw new Error('lanes write results into memory of their own')
      const lane = await take()
      try {
        const question = { feeds: copied(feeds), wanted: wanted as readonly string[] | undefined }
        const answer = checked(await lane.ask(question, memoryOf(question.feeds)))
        if (!('results' in answer)) throw new Error('a lane answered out of turn')
        return { ...answer.results }
      } finally {
        giveBack(lane)
      }
    },
    close,
  }
}

function checked(answer: LaneAnswer): Exclude<LaneAnswer, { error: string }> {
  if ('error' in answer) throw new Error(answer.error)
  return answer
}

/** Copies to hand over: the caller keeps its own, and a view does not take the whole array along. */
const copied = (feeds: Readonly<Record<string, Values>>): Record<string, Values> =>
  Object.fromEntries(Object.entries(feeds).map(([name, { data, shape }]) => [name, { data: data.slice(), shape }]))

const startLane = (settings: LaneSettings): Lane =>
  startThread(new URL('./lane.js', import.meta.url), import.meta.url, settings)

/**
 * The batches of an update side by side, each on one thread of its own: a training step's many small operators gain
 * little from threads inside them, and the rows of a small batch stay in the caches. Gradients are the same bits
 * however many lanes there are.
 */
import { startThread, type Thread } from '../threads.js'
import type { Student, StudentSettings } from './student.js'
import type { StudentLaneAnswer, StudentLaneQuestion, StudentLaneSettings } from './student-lane.js'

type Lane = Thread<StudentLaneQuestion, StudentLaneAnswer>

/**
 * Opens `count` students that share the weights of `settings.parameters`.
 *
 * @throws Error when one of them cannot be opened
 */
export async function openStudentLanes(settings: StudentSettings, count: number): Promise<Student> {
  const start = (data: StudentLaneSettings): Lane =>
    startThread(new URL('./student-lane.js', import.meta.url), import.meta.url, data)
  const lanes = Array.from({ length: count }, () => start({ ...settings, options: { threads: 1 } }))
  const close = async () => {
    await Promise.all(lanes.map((lane) => lane.close()))
  }
  await Promise.all(lanes.map((lane) => lane.ask('open').then(checked))).catch(async (error) => {
    await close()
    throw error
  })
  const { values } = settings.parameters
  // Each lane's memory: weights on the way there, gradients on the way back.
  const idle = lanes.map((lane) => ({ lane, memory: new Float32Array(values.length) }))
  return {
    lanes: count,
    async run(batch) {
      const free = idle.shift()
      if (!free) throw new Error(`more than ${count} batches are under way`)
      const { lane, memory } = free
      memory.set(values)
      const answer = checked(await lane.ask({ batch, weights: memory }, [memory.buffer]))
      if (!('result' in answer)) throw new Error('a lane answered out of turn')
      idle.push({ lane, memory: answer.result.gradients as typeof memory })
      return answer.result
    },
    close,
  }
}

function checked(answer: StudentLaneAnswer): Exclude<StudentLaneAnswer, { error: string }> {
  if ('error' in answer) throw new Error(answer.error)
  return answer
}

/** A student beside its teacher: pictures and targets in, the loss and its gradients out. */
import { isDeepStrictEqual } from 'node:util'
import type { Model } from '../runtime/classifier.js'
import type { SessionOptions } from '../runtime/session.js'
import type { Parameters } from './parameters.js'
import type { GraphPlan } from './plan.js'
import { type Batch, createStep, type StepPlan, type StepResult } from './step.js'
import { createTeacher, type Lessons } from './teacher.js'

/** What is trained, and by whom. Can be sent to a thread. */
export interface StudentSettings {
  readonly plan: StepPlan
  readonly parameters: Parameters
  /** The dense model to learn from, where `plan.teacher` says that there is one. */
  readonly teacher?: { readonly model: Model; readonly lessons: Lessons }
}

/** A batch as it comes from the pictures. */
export interface StudentBatch extends Omit<Batch, 'teacher'> {
  /** The plan of the moment, where it is another one than the student was opened with. */
  readonly plan?: GraphPlan
}

export interface StudentResult extends Pick<StepResult, 'loss' | 'parts'> {
  /** Laid out like `parameters.values`; valid until another batch is asked for. */
  readonly gradients: Float32Array
}

export interface Student {
  /** Batches that may be under way at once; default 1. */
  readonly lanes?: number
  /**
   * Loss and gradients at the present values of the parameters. A batch's memory may be used again once it is answered,
   * and by lanes at once.
   */
  run(batch: StudentBatch): Promise<StudentResult>
  close(): Promise<void>
}

/**
 * Opens student and teacher in this thread.
 *
 * @throws InputError when the teacher does not fit
 */
export async function openStudent(settings: StudentSettings, options: SessionOptions = {}): Promise<Student> {
  const { plan, parameters, teacher } = settings
  const gradients = new Float32Array(parameters.values.length)
  const opened = teacher && (await createTeacher(teacher.model, plan.config, teacher.lessons, options))
  const open = (now: GraphPlan) =>
    createStep({ ...plan, ...now, teacher: opened !== undefined }, parameters, gradients, options)
  let at = plan as GraphPlan
  let step = await open(at)
  return {
    async run({ plan: now = at, ...batch }) {
      if (!isDeepStrictEqual(now, at)) {
        await step.close()
        step = await open(now)
        at = now
      }
      const lesson = opened && { teacher: await opened.run(batch.pixels) }
      const { loss, parts } = await step.run({ ...batch, ...lesson })
      return { loss, parts, gradients }
    },
    async close() {
      await step.close()
      await opened?.close()
    },
  }
}

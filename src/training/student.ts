/** A student beside its teacher: pictures and targets in, the loss and its gradients out. */
import type { Model } from '../runtime/classifier.js'
import type { SessionOptions } from '../runtime/session.js'
import type { Parameters } from './parameters.js'
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
export type StudentBatch = Omit<Batch, 'teacher'>

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
  const step = await createStep({ ...plan, teacher: opened !== undefined }, parameters, gradients, options)
  return {
    async run(batch) {
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

/** The dense model that a student learns from: its logits and features on the same, mixed pictures. */

import { fail } from '../errors.js'
import { createGraph, input, output } from '../graph/graph.js'
import { matchLabels } from '../labels/match.js'
import { forward, readOutOf } from '../models/backbone.js'
import { constantWeights } from '../models/build.js'
import { pictureSize, prefixTokens, type VitConfig } from '../models/config.js'
import { leadingRow } from '../models/vit.js'
import type { Model } from '../runtime/classifier.js'
import { createSession } from '../runtime/node.js'
import type { SessionOptions, Values } from '../runtime/session.js'
import type { Batch } from './step.js'

export interface Teacher {
  /** What it makes of pictures [B, 3, S, S]: the logits and rows that it was opened for. */
  run(pixels: Values): Promise<NonNullable<Batch['teacher']>>
  close(): Promise<void>
}

/** Rows whose features are distilled: the class token's, all tokens', or none where logits are enough. */
export type TeacherRows = 'class' | 'all' | 'none'

/** What a student learns from its teacher. */
export interface Lessons {
  /** The answers: logits of the same classes. */
  readonly answers: boolean
  readonly rows: TeacherRows
}

/**
 * Whether a teacher answers the student's question: as many classes and, where both name them, the same names.
 */
export function hasSameClasses(teacher: Pick<Model, 'config' | 'labels'>, student: Pick<Model, 'config' | 'labels'>) {
  const { labels } = student
  if (teacher.config.classes !== student.config.classes) return false
  if (!teacher.labels || !labels) return true
  return matchLabels(teacher.labels, labels).indices.every(
    (index, i) => index === i || teacher.labels?.[i] === labels[i],
  )
}

/**
 * Whether a student can learn from a teacher.
 *
 * @throws InputError when it does not fit
 */
export function checkTeacher(
  { name, config }: Pick<Model, 'name' | 'config'>,
  student: VitConfig,
  { answers, rows }: Lessons,
): void {
  const fit = (what: string, found: number, wanted: number, advice = '') =>
    found === wanted || fail(`--teacher ${name}: wanted ${wanted} ${what} as the student has, found ${found}${advice}`)
  const rowsOf = (of: VitConfig) => prefixTokens(of) + readOutOf(of).tokens
  if (answers) fit('classes', config.classes, student.classes)
  const [size, wanted] = [pictureSize(config), pictureSize(student)]
  fit('pixels a side', size[1], wanted[1])
  fit('pixels of height', size[0], wanted[0])
  const advice = '; --feature-weight 0 distils the logits alone'
  if (rows !== 'none') fit('channels', readOutOf(config).width, readOutOf(student).width, advice)
  if (rows === 'all') fit('tokens', rowsOf(config), rowsOf(student), advice)
}

/**
 * Opens a teacher.
 *
 * @throws InputError when it does not fit the student
 */
export async function createTeacher(
  model: Model,
  student: VitConfig,
  lessons: Lessons,
  options: SessionOptions = {},
): Promise<Teacher> {
  checkTeacher(model, student, lessons)
  const { answers, rows } = lessons
  const { config, state } = model
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, ...pictureSize(config)])
  const result = forward(constantWeights(graph, state), pixels, config, { allTokens: rows === 'all' })
  if (answers) output('logits', result.logits)
  if (rows !== 'none') output('features', rows === 'all' ? result.features : leadingRow(result, config))
  const session = await createSession(graph, options)
  return {
    async run(pixels) {
      const { logits, features } = await session.run({ pixel_values: pixels })
      return { ...(logits && { logits }), ...(features && { features }) }
    },
    close: () => session.close(),
  }
}

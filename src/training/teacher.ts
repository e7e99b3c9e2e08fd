/** The dense model that a student learns from: its logits and features on the same, mixed pictures. */
import { fail } from '../errors.js'
import { createGraph, input, output } from '../graph/graph.js'
import { slice } from '../graph/ops/shape.js'
import { constantWeights } from '../models/build.js'
import { imageTokens, prefixTokens, type VitConfig } from '../models/config.js'
import { vit } from '../models/vit.js'
import type { Model } from '../runtime/classifier.js'
import { createSession } from '../runtime/node.js'
import type { SessionOptions, Values } from '../runtime/session.js'
import type { Batch } from './step.js'

export interface Teacher {
  /** What it makes of pictures [B, 3, S, S]. */
  run(pixels: Values): Promise<NonNullable<Batch['teacher']>>
  close(): Promise<void>
}

/** Rows whose features are distilled: the class token's, all tokens', or none where logits are enough. */
export type TeacherRows = 'class' | 'all' | 'none'

/**
 * Whether a student can learn from a teacher.
 *
 * @throws InputError when it does not fit
 */
export function checkTeacher({ name, config }: Pick<Model, 'name' | 'config'>, student: VitConfig, rows: TeacherRows) {
  const fit = (what: string, found: number, wanted: number, advice = '') =>
    found === wanted || fail(`--teacher ${name}: wanted ${wanted} ${what} as the student has, found ${found}${advice}`)
  const rowsOf = (of: VitConfig) => prefixTokens(of) + imageTokens(of)
  fit('classes', config.classes, student.classes)
  fit('pixels a side', config.imageSize, student.imageSize)
  const advice = '; --feature-weight 0 distils the logits alone'
  if (rows !== 'none') fit('channels', config.width, student.width, advice)
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
  rows: TeacherRows,
  options: SessionOptions = {},
): Promise<Teacher> {
  checkTeacher(model, student, rows)
  const { config, state } = model
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, config.imageSize, config.imageSize])
  const result = vit(constantWeights(graph, state), pixels, config, { allTokens: rows === 'all' })
  output('logits', result.logits)
  if (rows !== 'none') output('features', rows === 'all' ? result.features : slice(result.features, 1, 0, 1))
  const session = await createSession(graph, options)
  return {
    async run(pixels) {
      const { logits, features } = await session.run({ pixel_values: pixels })
      const [batch = 0] = pixels.shape
      const unused = () => ({ data: new Float32Array(batch * student.width), shape: [batch, 1, student.width] })
      return { logits: logits as Values, features: features ?? unused() }
    },
    close: () => session.close(),
  }
}

/**
 * A training run small enough for tests: linear regression on random vectors, its step in plain arithmetic.
 * As a script (`toy-run.ts FOLDER`) it runs with a checkpoint after every update, to be killed and started again.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { keyedRandom } from '../../src/keyed-random.js'
import { train } from '../../src/training/loop.js'
import { makeRecipe } from '../../src/training/options.js'
import { createParameters, type Parameters } from '../../src/training/parameters.js'
import type { RecipeChanges } from '../../src/training/recipe.js'
import type { DrawnBatch, TrainingRun } from '../../src/training/run.js'
import type { Student } from '../../src/training/student.js'
import { saveSafetensors } from '../../src/weights/files.js'
import { float32, floatsOf, type StateDict } from '../../src/weights/state.js'

const INPUTS = 5
const OUTPUTS = 3
const teacherWeight = (i: number) => ((i * 7) % 5) - 2

/** `ballast` more numbers that decay and nothing else, to make checkpoints large. */
function toyState(ballast: number): StateDict {
  const random = keyedRandom(0, 'toy')
  const normal = (n: number) => Float32Array.from({ length: n }, () => random.normal())
  return new Map([
    ['fc.weight', float32(normal(OUTPUTS * INPUTS), [OUTPUTS, INPUTS])],
    ['fc.bias', float32(normal(OUTPUTS), [OUTPUTS])],
    ['ballast', float32(new Float32Array(ballast * 2).fill(1), [ballast, 2])],
  ])
}

/** Mean squared error of x Wᵀ + b and its gradient. */
function toyStudent({ trained, values }: Parameters): Pick<Student, 'run'> {
  const gradients = new Float32Array(values.length)
  const at = (name: string) => trained.find((parameter) => parameter.name === name)?.start ?? Number.NaN
  const [weight, bias] = [at('fc.weight'), at('fc.bias')]
  return {
    async run({ pixels, targets }) {
      const [batch = 0] = pixels.shape
      const x = pixels.data as Float32Array
      const y = targets.data as Float32Array
      gradients.fill(0)
      const add = (i: number, g: number) => {
        gradients[i] = (gradients[i] as number) + g
      }
      let loss = 0
      for (let b = 0; b < batch; b++) {
        for (let o = 0; o < OUTPUTS; o++) {
          let error = (values[bias + o] as number) - (y[b * OUTPUTS + o] as number)
          for (let i = 0; i < INPUTS; i++)
            error += (values[weight + o * INPUTS + i] as number) * (x[b * INPUTS + i] as number)
          loss += (error * error) / batch
          add(bias + o, (2 * error) / batch)
          for (let i = 0; i < INPUTS; i++)
            add(weight + o * INPUTS + i, (2 * error * (x[b * INPUTS + i] as number)) / batch)
        }
      }
      return { loss, parts: { classification: loss }, gradients }
    },
  }
}

async function* toyBatches(count: number, batch: number, epoch: number, drawn: number): AsyncGenerator<DrawnBatch> {
  for (let first = drawn; first + batch <= count; first += batch) {
    const x = new Float32Array(batch * INPUTS)
    const y = new Float32Array(batch * OUTPUTS)
    for (let b = 0; b < batch; b++) {
      const random = keyedRandom(1, 'toy-picture', epoch, first + b)
      for (let i = 0; i < INPUTS; i++) x[b * INPUTS + i] = random.normal()
      for (let o = 0; o < OUTPUTS; o++)
        for (let i = 0; i < INPUTS; i++)
          y[b * OUTPUTS + o] =
            (y[b * OUTPUTS + o] as number) + teacherWeight(o * INPUTS + i) * (x[b * INPUTS + i] as number)
    }
    yield {
      pixels: { data: x, shape: [batch, INPUTS] },
      targets: { data: y, shape: [batch, OUTPUTS] },
      drawn: first + batch,
    }
  }
}

/** The distance to the solution, dressed as an accuracy. */
function toyEvaluation(state: StateDict) {
  const loss = floatsOf(state, 'fc.weight').reduce((sum, w, i) => sum + (w - teacherWeight(i)) ** 2, 0)
  const top1 = Math.round(1000 / (1 + loss))
  return { images: 1000, top1, top5: top1, top1Percent: top1 / 10, top5Percent: top1 / 10, loss }
}

/** A run of 4 epochs of 6 updates, changed as asked. */
export function toyRun(
  folder: string,
  changes: RecipeChanges = {},
  more: Partial<TrainingRun> & { readonly ballast?: number } = {},
): TrainingRun {
  const recipe = makeRecipe('quick', { epochs: 4, batch: 8, accumulate: 1, lr: 0.2, emaDecay: 0.8, ...changes })
  const parameters = createParameters(toyState(more.ballast ?? 2))
  const pictures = 6 * recipe.batch * recipe.accumulate + 3
  return {
    recipe,
    parameters,
    student: toyStudent(parameters),
    data: { pictures, batches: (epoch, drawn) => toyBatches(pictures, recipe.batch, epoch, drawn) },
    depth: 4,
    evaluate: async (state) => toyEvaluation(state),
    saveBest: (state) => saveSafetensors(join(folder, 'model.safetensors'), state),
    folder,
    ...more,
  }
}

/** Hash of a run's weights, as they are now. */
export const weightsHash = ({ parameters }: TrainingRun): string =>
  createHash('sha256').update(parameters.values).digest('hex')

const [, script, folder] = process.argv
if (script?.endsWith('toy-run.ts') && folder) {
  const run = toyRun(folder, {}, { ballast: 20_000, resume: true, saveSeconds: 0 })
  process.stdout.write('started\n')
  await train(run)
  process.stdout.write(`${weightsHash(run)}\n`)
}

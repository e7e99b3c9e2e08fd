/** Which classes a run trains: the model's own, or a new head for those of the data. */
import { areModelClasses, type ModelClasses } from '../data/classes.js'
import type { Dataset } from '../data/dataset.js'
import { fail } from '../errors.js'
import { classNumbers, matchLabels } from '../labels/match.js'

/** `auto` keeps the head where the data's classes are the model's. */
export const headChoices = ['auto', 'keep', 'new'] as const
export type HeadChoice = (typeof headChoices)[number]

/** What the user says of the classes. */
export interface ClassRequest {
  readonly head?: HeadChoice
  /** Number of classes. */
  readonly classes?: number
  /** Their names, in index order. */
  readonly labels?: readonly string[]
}

/** The head to train, and why. */
export interface ClassPlan {
  readonly head: 'keep' | 'new'
  readonly classes: number
  readonly labels?: readonly string[]
  /** A clause to tell the user: what was found. */
  readonly because: string
}

/**
 * Decides on the head.
 *
 * Named classes (folders, CIFAR-10, scenes) are the model's where each of them is one of the model's by name, WordNet id
 * or number. Classes that the data only numbers are its own where their numbers run from 0 without a gap and end before
 * the model's do: three classes of one's own look like this, and some of ImageNet's do not.
 *
 * @param data - with its own labels
 * @param model - the pretrained model; without one every head is new
 * @throws InputError when the request contradicts itself or the data
 */
export function planClasses(request: ClassRequest, data: Dataset, model: ModelClasses | undefined): ClassPlan {
  const { head = 'auto' } = request
  const wanted = ownClasses(request, data)
  if (wanted.classes < 2) fail(`${data.name}: wanted pictures of two classes at least, found one`)
  if (model === undefined || head === 'new') return { head: 'new', ...wanted }
  if (model.classes === 0 && head === 'keep') fail(`--head keep: ${model.name} has no head, only features`)
  if (model.classes === 0) return { head: 'new', ...wanted }
  const kept = { head: 'keep', classes: model.classes } as const
  const labels = request.labels ?? model.labels
  const keep = { ...kept, ...(labels && { labels }) }
  if (head === 'keep') {
    const said = request.labels?.length ?? request.classes ?? model.classes
    if (said !== model.classes)
      fail(
        `--head keep: ${model.name} has ${model.classes} classes, found ${said} in ${request.labels ? '--labels' : '--classes'}`,
      )
    return { ...keep, because: '--head keep' }
  }
  const because = sameClasses(request, data, model)
  return because === undefined ? { head: 'new', ...wanted } : { ...keep, because }
}

/** How the data's classes are the model's; undefined where they are not. */
function sameClasses(request: ClassRequest, data: Dataset, model: ModelClasses): string | undefined {
  const { classes, labels } = request
  const { classNames } = data
  if ((classes ?? model.classes) !== model.classes) return undefined
  if (labels) return namesSame(labels, model) ? `--labels names the model's classes` : undefined
  if (classNames) {
    if (areModelClasses(classNames, model)) return `its ${classNames.length} classes are the model's`
    return !model.labels && classNames.length === model.classes ? `it has as many classes as the model` : undefined
  }
  if (classes !== undefined) return '--classes is the number of the model'
  const count = countOf(data)
  if (count > model.classes || (count < model.classes && hasNoGaps(data, count))) return undefined
  return count === model.classes ? `it has as many classes as the model` : `its labels are among the model's`
}

/** Whether names stand at the same classes as the model's own. */
const namesSame = (names: readonly string[], { classes, labels }: ModelClasses): boolean =>
  names.length === classes && (!labels || matchLabels(names, labels).indices.every((index, i) => index === i))

/** The head for the data's own classes. */
function ownClasses({ classes, labels }: ClassRequest, data: Dataset): Omit<ClassPlan, 'head'> {
  const { classNames } = data
  if (labels) {
    if (classes !== undefined && classes !== labels.length)
      fail(`--classes ${classes}: wanted ${labels.length}, as many as --labels names`)
    return { classes: labels.length, labels, because: `--labels names ${labels.length} classes` }
  }
  if (classNames === undefined) {
    const count = countOf(data)
    if (classes !== undefined && classes < count)
      fail(`--classes ${classes}: wanted at least ${count}, as the labels of ${data.name} go from 0 to ${count - 1}`)
    return { classes: classes ?? count, because: `its labels go from 0 to ${count - 1}` }
  }
  if (classes === undefined || classes === classNames.length)
    return { classes: classNames.length, labels: classNames, because: `it has ${classNames.length} classes of its own` }
  if (!classNumbers(classNames, classes))
    fail(`--classes ${classes}: ${data.name} names ${classNames.length}; --labels FILE names all of them`)
  return { classes, because: `--classes ${classes}` }
}

const countOf = ({ samples }: Dataset): number => samples.reduce((most, { label }) => Math.max(most, label), 0) + 1

const hasNoGaps = ({ samples }: Dataset, count: number): boolean =>
  new Set(samples.map(({ label }) => label)).size === count

/**
 * A data set's labels as classes of a model: by name where both have names, by number where the data has numbers.
 *
 * Never by order in silence: an evaluation folder may lack a class, have others, or hold ten of a model's thousand.
 */
import { fail } from '../errors.js'
import { classNumbers, matchLabels } from '../labels/match.js'
import type { Dataset } from './dataset.js'

/** What a model says of its classes. */
export interface ModelClasses {
  readonly name: string
  readonly classes: number
  /** Class names in index order, where they are known. */
  readonly labels?: readonly string[]
}

/**
 * The same pictures with the model's class indices for labels.
 *
 * Where names of the data are taken for classes by their order, because the model has no names, its `warnings` say so.
 *
 * @throws InputError naming the classes of the data that are none of the model's, or a label out of range
 */
export function inModelClasses(data: Dataset, model: ModelClasses): Dataset {
  const { classNames } = data
  if (classNames === undefined) {
    checkLabels(data, model)
    return data
  }
  const { indices, warning } = indicesOf(data.name, classNames, model)
  const { labels } = model
  const { classNames: _, ...rest } = data
  return {
    ...rest,
    ...(labels && { classNames: labels }),
    ...(warning !== undefined && { warnings: [...(data.warnings ?? []), warning] }),
    samples: data.samples.map((sample) => ({ ...sample, label: indices[sample.label] as number })),
  }
}

/** Whether every class of the data is one of the model's, by name or number. */
export function areModelClasses(classNames: readonly string[], { classes, labels }: ModelClasses): boolean {
  if (labels === undefined) return classNumbers(classNames, classes) !== undefined
  return matchLabels(classNames, labels).indices.every((index) => index >= 0)
}

function indicesOf(
  data: string,
  classNames: readonly string[],
  { name, classes, labels }: ModelClasses,
): { readonly indices: readonly number[]; readonly warning?: string } {
  if (labels) {
    const { indices, unknown, ambiguous } = matchLabels(classNames, labels)
    const knows = `${name} knows ${classes} classes (${few(labels)})`
    if (unknown.length > 0)
      fail(
        `${data}: ${unknown.length} of ${classNames.length} classes are none of the model's: ${few(unknown)}; ${knows}`,
      )
    const [first] = ambiguous
    if (first) fail(`${data}: '${first.name}' ${whySeveral(first.classes, labels)}; ${knows}`)
    return { indices }
  }
  const numbers = classNumbers(classNames, classes)
  if (numbers) return { indices: numbers }
  if (classNames.length !== classes)
    fail(
      `${data}: ${classNames.length} classes (${few(classNames)}), but ${name} has ${classes} without names: --labels FILE names them`,
    )
  const warning = `${data}: ${name} has no class names, so its classes are taken in this order: ${few(classNames)}`
  return { indices: classNames.map((_, index) => index), warning }
}

const whySeveral = (classes: readonly number[], labels: readonly string[]): string =>
  classes.length > 1
    ? `names ${classes.length} classes, ${classes.map((index) => `${index} ${labels[index]}`).join(' and ')}`
    : `and another class of the data are both class ${classes[0]} ${labels[classes[0] as number]}`

/** Refuses the first label that is no class of the model. */
export function checkLabels(data: Dataset, { name, classes }: ModelClasses): void {
  const wrong = data.samples.find(({ label }) => label >= classes)
  if (wrong) fail(`${data.name}: ${wrong.name} has label ${wrong.label}, but ${name} knows classes 0 to ${classes - 1}`)
}

const few = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more` : names.join(', ')

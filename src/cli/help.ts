/**
 * What help looks like: options in groups, defaults as one types them, examples at the end; and what a command says when
 * something that it needs is missing.
 */
import { type Command, Help, type Option } from 'commander'
import { styled } from './color.js'

/** The heading of options that must be given. */
const REQUIRED = 'Required:'

/** How the help of every command is written; commander takes styles out where they cannot be seen. */
export const helpStyle: Partial<Help> = {
  styleTitle: (text) => styled('bold', text),
  styleOptionText: (text) => styled('cyan', text),
  styleSubcommandText: (text) => styled('cyan', text),
  optionDescription(option) {
    const { description, defaultValue, defaultValueDescription } = option
    const takesValue = option.required || option.optional
    if (!takesValue || (defaultValue ?? defaultValueDescription) === undefined) return description
    return `${description} (default: ${defaultValueDescription ?? typed(defaultValue)})`
  },
  groupItems(items, visible, heading) {
    const groups = [...new Help().groupItems(items, visible, heading)]
    const isFirst = ([name]: (typeof groups)[number]) => name === REQUIRED
    return new Map([...groups.filter(isFirst), ...groups.filter((group) => !isFirst(group))])
  },
}

/** A value as one types it: a list with commas. */
const typed = (value: unknown): string => (Array.isArray(value) ? value.join(',') : String(value))

/**
 * Makes an option one that must be given, see {@link refuseMissing}. Commander's own `mandatory` tells the first of several
 * only, and tells it even where another option is misspelled.
 */
export const mustBeGiven = (option: Option): Option => option.helpGroup(REQUIRED)

/** A line of the shell, which may go on behind a backslash, and what it is good for. */
export type Example = readonly [line: string, purpose: string]

/** Examples by command. */
const examples = new WeakMap<Command, readonly Example[]>()

/** What {@link addExamples} was given for a command. */
export const examplesOf = (command: Command): readonly Example[] => examples.get(command) ?? []

/** Puts examples at the end of a command's help. The first is also what is shown where something is missing. */
export function addExamples(command: Command, ...lines: readonly Example[]): Command {
  examples.set(command, lines)
  return addSection(command, 'Examples:', lines.map(([line, purpose]) => `  # ${purpose}\n  ${line}`).join('\n'))
}

/** Puts a part with a heading at the end of a command's help. */
export const addSection = (command: Command, heading: string, text: string): Command =>
  command.addHelpText('after', `\n${styled('bold', heading)}\n${text}`)

/** Terms and their meanings as two columns, 80 letters wide. */
export function columns(rows: readonly (readonly [term: string, meaning: string])[]): string {
  const help = new Help()
  const width = Math.max(...rows.map(([term]) => term.length))
  return rows.map(([term, meaning]) => help.formatItem(term, width, meaning, help)).join('\n')
}

/** Ends a command that lacks an option which must be given. */
export function refuseMissing(command: Command): void {
  if (missing(command).length > 0)
    command.error(`error: ${describeMissing(command)}`, { code: 'commander.missingMandatoryOptionValue' })
}

/** All that a command lacks, and a line that has it. */
export function describeMissing(command: Command): string {
  const names = missing(command)
  const all = [...(names.length > 1 ? [names.slice(0, -1).join(', ')] : []), ...names.slice(-1)].join(' and ')
  const [example] = examplesOf(command)
  const line = example ? `, as in: ${example[0].replace(/\\\n\s*/g, '')}` : ''
  return `${all} ${names.length > 1 ? 'are' : 'is'} missing${line}`
}

function missing(command: Command): string[] {
  const words = command.registeredArguments.slice(command.args.length).filter(({ required }) => required)
  const options = command.options.filter(
    (option) => option.helpGroupHeading === REQUIRED && command.getOptionValue(option.attributeName()) === undefined,
  )
  return [...words.map((word) => `<${word.name()}${word.variadic ? '...' : ''}>`), ...options.map(({ flags }) => flags)]
}

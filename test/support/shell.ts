/** Lines of a shell, as far as documentation writes them. */

/** The words of a line: quotes are taken off, a backslash at the end of a line joins it with the next. */
export function words(line: string): string[] {
  const found = line.replace(/\\\n/g, ' ').matchAll(/(?:[^\s'"]+|'[^']*'|"[^"]*")+/g)
  return [...found].map(([word]) => word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'))
}

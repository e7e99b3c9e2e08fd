/**
 * Colours of the terminal, where there is one: `NO_COLOR` (no-color.org) turns them off, `FORCE_COLOR` on, in this order;
 * otherwise a stream must be a terminal that has them, which `TERM=dumb` denies.
 */
import * as util from 'node:util'

/** Colours and weights of letters that commands use. */
export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan'

/** What decides: a stream, which may be a terminal, and the environment. */
export interface Screen {
  readonly isTTY?: boolean
  hasColors?(env?: object): boolean
}
type Environment = Readonly<Record<string, string | undefined>>

/** Whether what is printed on a stream is coloured. */
export function hasColor(out: Screen, env: Environment = process.env): boolean {
  const { NO_COLOR, FORCE_COLOR } = env
  if (NO_COLOR || FORCE_COLOR === '0' || FORCE_COLOR === 'false') return false
  return Boolean(FORCE_COLOR) || (out.isTTY === true && out.hasColors?.(env) === true)
}

/** Text for a stream, styled where the stream has colours. */
export const paint = (style: Style, text: string, out: Screen, env?: Environment): string =>
  hasColor(out, env) ? styled(style, text) : text

/** Styled text, whatever it is printed on. Node before 20.12 has no styles. */
export const styled = (style: Style, text: string): string =>
  'styleText' in util ? util.styleText(style, text, { validateStream: false }) : text

/** Keeps a process and those that it starts from colours: what programs read has none. */
export function turnColorOff(env: NodeJS.ProcessEnv = process.env): void {
  delete env.FORCE_COLOR // Node warns where both are set
  env.NO_COLOR = '1'
}

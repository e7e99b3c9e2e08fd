/** `owner/name`, or `owner/name@revision`: how a repository of the hub is named. */
import { fail } from '../errors.js'

/** A repository of the hub at a branch, a tag or a commit. */
export interface HubId {
  /** owner/name */
  readonly name: string
  /** `main` where none is named. */
  readonly revision: string
}

/**
 * Reads the name of a hub repository.
 *
 * @returns undefined where `spec` is no such name
 * @throws InputError when what stands behind the @ cannot be a branch, a tag or a commit
 */
export function parseHubId(spec: string): HubId | undefined {
  const [, name, , revision] = /^([\w-][\w.-]*\/[\w-][\w.-]*)(@(.*))?$/.exec(spec) ?? []
  return name === undefined ? undefined : { name, revision: revision === undefined ? 'main' : checked(revision, spec) }
}

/** What git allows as the name of a branch or tag (git-check-ref-format), as far as it is safe as a path, too. */
const reference = /^(?!.*(\/\/|\/?\.\.|\/\.|\.lock$|\/$|\.$))\w[\w./+-]*$/

const checked = (revision: string, spec: string): string =>
  reference.test(revision)
    ? revision
    : fail(`${spec}: wanted a branch, a tag or a commit behind the @, found ${JSON.stringify(revision)}`)

/** Whether a revision is a commit, which always means the same files. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision)

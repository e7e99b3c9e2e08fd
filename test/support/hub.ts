/**
 * A hub on the loopback interface that answers as huggingface.co does: `/api/models/…` for the commit, the files and
 * their etags, `/…/resolve/…` with a redirect to a content server, ranges, and the statuses of refused requests.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'

export interface FakeHub {
  readonly url: string
  /** Every request: method, path and range. */
  readonly requests: string[]
  /** Breaks the next transfers after so many bytes each. */
  readonly breaks: number[]
  /** Answers the next content requests with these statuses. */
  readonly statuses: number[]
  /** Sends damaged content. */
  damaged: boolean
}

type Files = Readonly<Record<string, Uint8Array>>

/** File contents by repository id and path. A repository under `gated/` wants the token, one under `closed/` refuses all. */
export type Repositories = Readonly<Record<string, Files>>

/** What branches and tags other than `main` stand for, by repository id and name. */
export type Branches = Readonly<Record<string, Readonly<Record<string, { commit: string; files: Files }>>>>

export const goodToken = 'hf_right'
export const commit = '0123456789abcdef0123456789abcdef01234567'

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
export const gitOid = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex')

/** The hub keeps large and binary files apart from git, under their SHA-256. */
const isLarge = (path: string): boolean => /\.(safetensors|bin)$/.test(path)
const etag = (path: string, bytes: Uint8Array): string => (isLarge(path) ? sha256(bytes) : gitOid(bytes))

export async function startHub(repositories: Repositories, branches: Branches = {}): Promise<FakeHub> {
  const server = createServer((request, response) => {
    hub.requests.push(`${request.method} ${request.url?.replace(/\?.*/, '')} ${request.headers.range ?? ''}`.trim())
    answer(request, response).catch((error) => response.destroy(error))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const hub: FakeHub = { url, requests: [], breaks: [], statuses: [], damaged: false }

  const refuse = (response: ServerResponse, status: number, code: string) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-error-code': code })
    response.end(JSON.stringify({ error: code }))
  }
  const json = (response: ServerResponse, value: unknown) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(value))
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').replace(/\?.*/, '')
    const [, api, id = '', verb, revision = '', file = ''] =
      /^(\/api\/models)?\/([\w.-]+\/[\w.-]+)\/(revision|paths-info|resolve|content)\/([^/]+)(?:\/(.+))?$/
        .exec(path)
        ?.map((part) => part && decodeURIComponent(part)) ?? []
    const token = request.headers.authorization?.replace('Bearer ', '')
    const known = { main: { commit, files: repositories[id] ?? {} }, ...branches[id] }
    const [found] = Object.entries(known).filter(([name, branch]) => [name, branch.commit].includes(revision))
    const { commit: sha, files } = found?.[1] ?? known.main
    if (token !== undefined && token !== goodToken) return refuse(response, 401, 'InvalidToken')
    // Without a token the hub does not tell a missing repository from a private one.
    if (!repositories[id]) return refuse(response, token ? 404 : 401, 'RepoNotFound')
    if (id.startsWith('closed/')) return refuse(response, 403, 'GatedRepo')
    if (id.startsWith('gated/') && !token && verb !== 'content') return refuse(response, 401, 'GatedRepo')
    if (!found) return refuse(response, 404, 'RevisionNotFound')

    if (api && verb === 'revision')
      return json(response, {
        _id: '1',
        id,
        sha,
        siblings: Object.keys(files).map((rfilename) => ({ rfilename })),
      })
    if (api && verb === 'paths-info') {
      let body = ''
      for await (const chunk of request) body += chunk
      const { paths } = JSON.parse(body) as { paths: string[] }
      return json(
        response,
        paths.flatMap((path) => {
          const bytes = files[path]
          if (!bytes) return []
          const lfs = isLarge(path) ? { lfs: { oid: sha256(bytes), size: bytes.byteLength, pointerSize: 134 } } : {}
          return [{ type: 'file', path, oid: gitOid(bytes), size: bytes.byteLength, ...lfs }]
        }),
      )
    }
    const bytes = files[file]
    if (!bytes) return refuse(response, 404, 'EntryNotFound')
    if (verb === 'resolve') {
      response.writeHead(302, {
        location: `/${id}/content/${revision}/${file}`,
        'x-repo-commit': sha,
        'x-linked-etag': `"${etag(file, bytes)}"`,
        'x-linked-size': bytes.byteLength,
      })
      return void response.end()
    }
    sendContent(request, response, file, bytes)
  }

  function sendContent(request: IncomingMessage, response: ServerResponse, file: string, bytes: Uint8Array): void {
    const status = hub.statuses.shift()
    if (status) {
      refuse(response, status, 'Trouble')
      return
    }
    const [, from = '0', to] = /^bytes=(\d+)-(\d+)?$/.exec(request.headers.range ?? '') ?? []
    const start = Number(from)
    const end = to === undefined ? bytes.byteLength : Number(to) + 1
    response.writeHead(request.headers.range ? 206 : 200, {
      etag: `"${etag(file, bytes)}"`,
      'accept-ranges': 'bytes',
      'content-length': end - start,
      'content-range': `bytes ${start}-${end - 1}/${bytes.byteLength}`,
    })
    const part = Buffer.from(bytes.subarray(start, end))
    if (hub.damaged && part.length > 0) part[part.length - 1] = (part[part.length - 1] ?? 0) ^ 1
    const broken = hub.breaks.shift()
    if (broken === undefined) return void response.end(part)
    response.write(part.subarray(0, broken), () => setTimeout(() => response.destroy(), 20))
  }

  return hub
}

/**
 * What huggingface.co answers to pages, on loopback: the list of a repository's files, then for each file a redirect to a
 * content server at another origin. Observed headers: CORS for everybody, `X-Linked-ETag`, `X-Repo-Commit`.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { commit, gitOid, sha256 } from './hub.js'
import type { Site } from './web-site.js'

/** Puts a repository on `hub` whose contents lie on `content`; with `token`, it wants that one. */
export function shareRepository(
  hub: Site,
  content: Pick<Site, 'url' | 'files'>,
  name: string,
  files: Readonly<Record<string, Uint8Array>>,
  token?: string,
): void {
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.byteLength,
    blobId: gitOid(bytes),
    ...(rfilename.endsWith('.safetensors') && { lfs: { sha256: sha256(bytes), size: bytes.byteLength } }),
  }))
  /** A page that sends a token asks first whether it may. */
  const answers =
    (answer: (response: ServerResponse) => void) =>
    ({ method, headers }: IncomingMessage, response: ServerResponse): void => {
      if (method === 'OPTIONS') {
        response.setHeader('Access-Control-Allow-Headers', 'authorization')
        return void response.writeHead(204).end()
      }
      if (token !== undefined && headers.authorization !== `Bearer ${token}`) return void response.writeHead(401).end()
      answer(response)
    }
  const list = JSON.stringify({ id: name, sha: commit, siblings })
  hub.files.set(
    `/api/models/${name}/revision/main`,
    answers((response) => void response.setHeader('content-type', 'application/json').end(list)),
  )
  for (const [file, bytes] of Object.entries(files)) {
    const kept = `/content/${sha256(bytes)}`
    content.files.set(kept, bytes)
    hub.files.set(
      `/${name}/resolve/${commit}/${file}`,
      answers((response) => {
        response.writeHead(302, {
          Location: new URL(kept, content.url).href,
          'X-Repo-Commit': commit,
          'X-Linked-ETag': `"${file.endsWith('.safetensors') ? sha256(bytes) : gitOid(bytes)}"`,
          'X-Linked-Size': bytes.byteLength,
          'Cache-Control': 'no-cache',
        })
        response.end()
      }),
    )
  }
}

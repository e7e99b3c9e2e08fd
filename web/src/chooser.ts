/** The dialog that chooses a model: the embedded one, the hub's, or one's own. */

import { presets } from 'idlevit'
import { byId, make, prepareDialog, say } from './dom.js'
import { megabytes } from './format.js'
import type { Progress, Source } from './messages.js'
import { messageOf } from './rpc.js'

export interface Chooser {
  /** What the open model is, and what there is to say about it. */
  describe(text: string): void
  /** Opens a model and shows how far it is; the dialog closes when it is there. */
  choose(source: Source): Promise<void>
}

export interface ChooserOptions {
  readonly demo: Source
  load(source: Source, tell: (progress: Progress) => void): Promise<void>
  /** Gives up on what is being fetched. */
  cancel(): void
}

export function createChooser({ demo, load, cancel }: ChooserOptions): Chooser {
  const dialog = byId('models', HTMLDialogElement)
  const status = byId('model-status', HTMLElement)
  const bar = byId('model-bar', HTMLProgressElement)
  const cancelButton = byId('cancel-model', HTMLButtonElement)
  const address = byId('hub-id', HTMLInputElement)
  prepareDialog(dialog)
  byId('open-models', HTMLElement).addEventListener('click', () => dialog.showModal())
  byId('hub-ids', HTMLElement).append(
    ...Object.values(presets).flatMap(({ hub }) => (hub === undefined ? [] : [make('option', { value: hub })])),
  )

  function tell({ text, loaded, total }: Progress): void {
    const share = loaded !== undefined && total ? loaded / total : undefined
    const amount = loaded === undefined ? '' : ` ${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ''}`
    say(status, text + amount)
    bar.hidden = false
    if (share === undefined) bar.removeAttribute('value')
    else bar.value = share
  }

  async function choose(source: Source): Promise<void> {
    status.classList.remove('error')
    cancelButton.hidden = false
    tell({ text: 'Fetching …' })
    try {
      await load(source, tell)
      say(status, '\u00a0')
      dialog.close()
    } catch (error) {
      status.classList.add('error')
      say(status, messageOf(error))
      if (!dialog.open) dialog.showModal()
    } finally {
      bar.hidden = true
      cancelButton.hidden = true
    }
  }

  cancelButton.addEventListener('click', cancel)
  byId('use-demo', HTMLElement).addEventListener('click', () => void choose(demo))
  byId('hub-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault()
    void choose({ kind: 'remote', address: address.value.trim() })
  })
  for (const [button, input] of [
    ['open-folder', 'model-folder'],
    ['open-files', 'model-files'],
  ] as const) {
    const field = byId(input, HTMLInputElement)
    byId(button, HTMLElement).addEventListener('click', () => field.click())
    field.addEventListener('change', () => {
      const files = [...(field.files ?? [])]
      field.value = ''
      if (files.length > 0) void choose({ kind: 'files', files })
    })
  }

  return { describe: (text) => say(byId('model-about', HTMLElement), text), choose }
}

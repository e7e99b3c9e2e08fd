/** Elements of the page, found and made. */

/**
 * The element of an id, which must be there.
 *
 * @example byId('keep', HTMLInputElement).value
 */
export function byId<E extends Element>(id: string, kind: { new (): E; readonly name: string }): E {
  const found = document.getElementById(id)
  if (!(found instanceof kind)) throw new Error(`no ${kind.name} #${id}`)
  return found
}

type Child = Node | string | undefined | readonly Child[]

/** Makes an element; attributes that are undefined or false are left out. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string | number | boolean | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value))
  element.append(...nodes(children))
  return element
}

const nodes = (children: readonly Child[]): (Node | string)[] =>
  children.flatMap((child) => {
    if (child === undefined) return []
    return child instanceof Node || typeof child === 'string' ? [child] : nodes(child)
  })

/** Writes text where it differs: screen readers tell of every write. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

/** Shows a dialog that its close buttons, Escape and a click beside it close. */
export function prepareDialog(dialog: HTMLDialogElement): void {
  for (const button of dialog.querySelectorAll('.close')) button.addEventListener('click', () => dialog.close())
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close()
  })
}

/** What went wrong, where everybody sees it, until it is put away or something else happens. */
export function complain(text: string): void {
  const notices = byId('notices', HTMLElement)
  const close = make('button', { type: 'button', class: 'plain', 'aria-label': 'Put this message away' }, '×')
  const notice = make('p', { class: 'notice' }, make('span', {}, text), close)
  close.addEventListener('click', () => notice.remove())
  notices.replaceChildren(notice)
}

/** Takes the last complaint away. */
export const calm = (): void => byId('notices', HTMLElement).replaceChildren()

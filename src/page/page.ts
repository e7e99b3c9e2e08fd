/**
 * HTML pages that stand alone: one file, pictures inside, no script, light and dark, for screens from 360 pixels and for
 * paper. Everything that goes into {@link html} is escaped unless it is HTML already.
 */
import type { Chart, Shape } from './chart.js'
import { inks, surfaces } from './palette.js'

/** A piece of markup that is safe to insert. */
export interface Html {
  readonly markup: string
}

/** What {@link html} takes: text is escaped, lists are joined, nothing is written for `undefined`. */
export type HtmlValue = Html | string | number | undefined | readonly HtmlValue[]

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text as it must stand in HTML, SVG and their attributes. */
export const escapeText = (text: string): string => text.replace(/[&<>"']/g, (letter) => escapes[letter] as string)

function markup(value: HtmlValue): string {
  if (value === undefined) return ''
  if (typeof value === 'string' || typeof value === 'number') return escapeText(String(value))
  return 'markup' in value ? value.markup : value.map(markup).join('')
}

/**
 * Markup from a template.
 *
 * @example html`<h2>${'a < b'}</h2>` // <h2>a &lt; b</h2>
 */
export const html = (strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html => ({
  markup: strings.reduce((all, text, i) => all + markup(values[i - 1]) + text),
})

/** Bytes or text of a file as a `data:` address. SVG goes in as text, which is shorter than base64. */
export function dataUri(type: string, content: Uint8Array | string): string {
  if (typeof content === 'string') return `data:${type},${content.replace(/[%#<>"\s]/g, encodeURIComponent)}`
  return `data:${type};base64,${Buffer.from(content).toString('base64')}`
}

/** A picture: PNG or JPEG bytes, or the text of an SVG. */
export interface Picture {
  readonly type: 'image/svg+xml' | 'image/png' | 'image/jpeg'
  readonly content: Uint8Array | string
  /** What it shows, for who cannot see it. */
  readonly alt: string
  /** In pixels; a page is laid out before its pictures are decoded. */
  readonly width: number
  readonly height: number
  /** The same for screens on which it would be shown smaller than it is drawn. */
  readonly narrow?: Pick<Picture, 'type' | 'content' | 'width' | 'height'>
}

/** Screens that take the narrow drawing of a picture, in pixels. */
const NARROW = 600

/** A picture with its caption. */
export function figure(picture: Picture, caption: HtmlValue): Html {
  const { type, content, alt, width, height, narrow } = picture
  const image = html`<img src="${dataUri(type, content)}" width="${width}" height="${height}" alt="${alt}">`
  const drawn = narrow
    ? html`<picture><source media="(max-width: ${NARROW}px)" srcset="${dataUri(narrow.type, narrow.content)}" width="${narrow.width}" height="${narrow.height}">${image}</picture>`
    : image
  return html`<figure>${drawn}<figcaption>${caption}</figcaption></figure>
`
}

/** A chart as a picture: in both shapes, so that its letters are as large as those around it. */
export async function chartPicture(drawAs: (shape: Shape) => Promise<Chart>, alt: string): Promise<Picture> {
  const [wide, narrow] = [await drawAs('wide'), await drawAs('narrow')]
  const picture = ({ svg, width, height }: Chart) => ({ type: 'image/svg+xml', content: svg, width, height }) as const
  return { ...picture(wide), alt, narrow: picture(narrow) }
}

/** Figures side by side, as many as fit: `small` for maps, `charts` for narrow charts, `large` for wide ones. */
export const gallery = (size: 'small' | 'medium' | 'charts' | 'large', figures: readonly Html[]): Html =>
  html`<div class="gallery ${size}">${figures}</div>`

/** A table: the first column names the row, the others hold numbers. It scrolls by itself where it is too wide. */
export function dataTable(caption: string, head: readonly HtmlValue[], rows: readonly (readonly HtmlValue[])[]): Html {
  const [first, ...others] = head
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr><th scope="col">${first}</th>${others.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([name, ...cells]) => html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>
`,
  )}</tbody></table></div>`
}

/** What is known about a thing: names and values in words, under a heading of their own. */
export const record = (title: string, rows: readonly (readonly [name: HtmlValue, value: HtmlValue])[]): Html =>
  html`<div class="record"><h3>${title}</h3>
<dl>${rows.map(
    ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>
`,
  )}</dl></div>
`

/** Records side by side, as many as fit. */
export const records = (each: readonly Html[]): Html => html`<div class="records">${each}</div>`

/** A line that must not be overlooked. */
export const notice = (text: HtmlValue): Html => html`<p class="notice">${text}</p>
`

/** A number worth reading first. */
export interface KeyNumber {
  readonly value: string
  readonly label: string
}

export const keyNumbers = (numbers: readonly KeyNumber[]): Html =>
  html`<dl class="numbers">${numbers.map(({ value, label }) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`

/** A part of the page under a heading. */
export interface Section {
  readonly id: string
  readonly title: string
  readonly body: HtmlValue
}

export interface Page {
  readonly title: string
  /** One or two sentences under the title. */
  readonly lead: HtmlValue
  readonly sections: readonly Section[]
  /** Markup between the lead and the first section. */
  readonly summary?: HtmlValue
  readonly footer?: HtmlValue
  /** Seconds after which the page is read again, while it is still being written; default never. */
  readonly refresh?: number
}

/** Tells a page of ours, which a newer one may replace, from other people's. */
const generator: Html = { markup: '<meta name="generator" content="idlevit">' }

/** Whether the beginning of a file is that of a page from here. */
export const isOwnPage = (beginning: string): boolean => beginning.includes(generator.markup)

/** A whole page as the text of its file. */
export function page({ title, lead, summary, sections, footer, refresh }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${generator}
${
  refresh === undefined
    ? undefined
    : html`<meta http-equiv="refresh" content="${refresh}">
`
}<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${{ markup: style }}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p class="lead">${lead}</p>
${summary}
<nav aria-label="Sections">${sections.map(({ id, title }) => html`<a href="#${id}">${title}</a> `)}</nav>
</header>
<main>
${sections.map(
  ({ id, title, body }) => html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${body}
</section>
`,
)}</main>
${footer === undefined ? undefined : html`<footer>${footer}</footer>`}
</body>
</html>
`.markup
}

const colours = (scheme: 'light' | 'dark'): string =>
  Object.entries({ ...surfaces, ...inks })
    .map(([name, tone]) => `--${name}: ${tone[scheme]}`)
    .join('; ')

/** Dark colours are for screens alone: paper is white. */
const style = `
:root {
  color-scheme: light dark;
  ${colours('light')}
}
@media screen and (prefers-color-scheme: dark) {
  :root { ${colours('dark')} }
}
@media print { :root { color-scheme: light } }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body {
  margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 74rem;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  background: var(--page); color: var(--ink); overflow-wrap: break-word;
}
h1 { font-size: clamp(1.6rem, 1.2rem + 2vw, 2.2rem); line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 .5rem; padding-top: .9rem; border-top: 1px solid var(--line) }
h3 { font-size: 1.05rem; line-height: 1.35; margin: 1.8rem 0 .6rem }
h3 small { font-weight: 400; font-size: .9rem; color: var(--soft) }
p { margin: 0 0 .9rem; max-width: 46rem }
.lead { font-size: 1.1rem; color: var(--soft) }
a { color: var(--ink); text-decoration-color: var(--soft); text-underline-offset: .2em }
a:hover { text-decoration-thickness: 2px }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .95rem }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem clamp(1rem, 3vw, 2rem); margin: 1.4rem 0 }
.numbers div { display: flex; flex-direction: column-reverse; justify-content: flex-end; flex: none; width: 9.5rem }
.numbers dt { color: var(--soft); font-size: .9rem; line-height: 1.35 }
.numbers dd { margin: 0; font-size: 1.7rem; font-weight: 600; line-height: 1.25; font-variant-numeric: tabular-nums }
.gallery { display: grid; gap: 1rem .8rem; align-items: start }
.gallery.small { grid-template-columns: repeat(auto-fill, minmax(min(12.5rem, calc(50% - .4rem)), 1fr)) }
.gallery.medium { grid-template-columns: repeat(auto-fill, minmax(min(16rem, calc(50% - .4rem)), 1fr)) }
.gallery.charts { grid-template-columns: repeat(auto-fill, minmax(min(20.5rem, 100%), 1fr)); gap: 1.8rem 1.5rem }
.gallery.large { grid-template-columns: repeat(auto-fit, minmax(min(32rem, 100%), 1fr)); gap: 2rem }
figure { margin: 0; break-inside: avoid }
img { display: block; width: 100%; height: auto; border-radius: 3px }
.gallery.charts img { max-width: 26rem }
.gallery.large img { max-width: 35rem }
.gallery.small img, .legend img { border: 1px solid var(--line) }
figcaption { margin-top: .35rem; font-size: .875rem; line-height: 1.4; color: var(--soft) }
figcaption strong { color: var(--ink); font-weight: 600 }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; list-style: none; margin: 0 0 .5rem; padding: 0; font-size: .9rem }
.legend li { display: flex; align-items: center; gap: .5rem }
.legend img { flex: none; width: 1.4rem; height: 1.4rem }
.scale img { max-width: 22.5rem }
.scroll { overflow-x: auto; margin-top: 1rem }
table { border-collapse: collapse; font-size: .925rem; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); padding-bottom: .5rem; max-width: min(46rem, 100vw - 2rem) }
th, td { padding: .3rem 0 .3rem clamp(.6rem, 2vw, 1.4rem); text-align: right; white-space: nowrap; font-weight: 400 }
th:first-child { padding-left: 0; text-align: left }
thead th { white-space: normal; color: var(--soft); border-bottom: 1px solid var(--line); vertical-align: bottom }
tbody tr + tr > * { border-top: 1px solid var(--line) }
.gallery th:not(:first-child), .gallery td { padding-left: clamp(.5rem, 1.6vw, .95rem) }
@media (max-width: 30rem) { table { font-size: .85rem } }
.records { columns: 21rem; column-gap: 2.5rem; margin-top: 1rem }
.record { break-inside: avoid; padding-bottom: 1.4rem }
.record h3 { margin-top: 0 }
.record dl { margin: 0; font-size: .925rem }
.record dl div { display: flex; justify-content: space-between; gap: .2rem 1.2rem; padding: .3rem 0; border-top: 1px solid var(--line) }
.record dt { color: var(--soft); flex: none; max-width: 60% }
.record dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; min-width: 0; overflow-wrap: anywhere }
.notice { background: var(--card); border-left: 3px solid var(--soft); border-radius: 3px; padding: .6rem .9rem; margin: 0 0 .8rem }
footer { margin-top: 3rem; padding-top: .9rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .9rem }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .6rem .8rem }
pre, code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere }
@media print {
  body { padding: 0; max-width: none; font-size: 10pt }
  nav { display: none }
  h2, h3 { break-after: avoid }
  tr { break-inside: avoid }
  .gallery.small { grid-template-columns: repeat(5, 1fr) }
  .gallery.medium { grid-template-columns: repeat(4, 1fr) }
  .scroll { overflow: visible }
  @page { margin: 15mm }
}
`

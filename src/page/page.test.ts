import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { dataTable, dataUri, figure, html, page } from './page.js'

describe('html', () => {
  it('escapes text, keeps markup, joins lists and leaves out what is undefined', () => {
    const bold = html`<b>${'<i> & "quotes"'}</b>`
    assert.equal(html`<p>${[bold, undefined, ' ', 3]}</p>`.markup, '<p><b>&lt;i&gt; &amp; &quot;quotes&quot;</b> 3</p>')
  })

  it('gives every text back to a reader and lets none end its place', () => {
    const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { markup } = html`${text}`
        assert.doesNotMatch(markup, /[<>"']/)
        assert.equal(
          markup.replace(/&([^;]+);/g, (_, name: string) => named[name] ?? '?'),
          text,
        )
      }),
    )
  })
})

describe('dataUri', () => {
  it('holds SVG as it was, in letters that attributes may hold', () => {
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" aria-label="a 'quoted' 100 % name"><path fill="#fff"/>\n</svg>`
    const uri = dataUri('image/svg+xml', svg)
    assert.doesNotMatch(uri, /[\s"<>#]/)
    assert.equal(decodeURIComponent(uri.slice('data:image/svg+xml,'.length)), svg)
  })

  it('holds bytes as base64', () => {
    assert.equal(dataUri('image/png', Uint8Array.of(0, 255, 16)), 'data:image/png;base64,AP8Q')
  })
})

describe('page', () => {
  it('stands alone and lets no name through as markup', () => {
    const evil = `"><script>alert('x')</script>`
    const picture = { type: 'image/png', content: Uint8Array.of(1), alt: evil, width: 1, height: 1 } as const
    const text = page({
      title: evil,
      lead: evil,
      sections: [
        { id: 'a', title: evil, body: [figure(picture, evil), dataTable(evil, [evil, evil], [[evil, evil]])] },
      ],
    })
    assert.doesNotMatch(text, /<script/)
    assert.equal(text.split('&lt;script&gt;').length - 1, 13)
    for (const [, address] of text.matchAll(/(?:src|href)="([^"]*)"/g)) assert.match(address as string, /^(data:|#)/)
  })
})

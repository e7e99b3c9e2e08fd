import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cones, contrast, difference, mixed } from '../../test/support/colour.js'
import { figuresOf, inks, meanings, overlay, surfaces } from './palette.js'

const schemes = ['light', 'dark'] as const

describe('the palette', () => {
  it('is measured as WCAG measures', () => {
    assert.equal(contrast('#000000', '#ffffff'), 21)
    assert.equal(contrast('#777777', '#ffffff').toFixed(2), '4.48') // the best known near miss of 4.5
  })

  it('stands out from both pages: 3:1 for what is drawn, 4.5:1 for what is read', () => {
    for (const scheme of schemes)
      for (const back of [surfaces.page, surfaces.card]) {
        for (const [name, tone] of Object.entries(meanings))
          assert.ok(contrast(tone[scheme], back[scheme]) >= 3, `${name} on ${back[scheme]}`)
        for (const [name, tone] of Object.entries(inks))
          assert.ok(contrast(tone[scheme], back[scheme]) >= 4.5, `${name} on ${back[scheme]}`)
      }
  })

  it('keeps what shares a figure apart for every kind of eye', () => {
    for (const together of Object.values(figuresOf))
      for (const [i, a] of together.entries())
        for (const b of together.slice(i + 1))
          for (const scheme of schemes)
            for (const [kind, matrix] of Object.entries(cones)) {
              const apart = difference(meanings[a][scheme], meanings[b][scheme], matrix)
              assert.ok(apart > 0.07, `${a} and ${b}, ${scheme}, ${kind}: ${apart.toFixed(3)}`)
            }
  })

  it('gives one hue one meaning', () => {
    const all = Object.values(meanings).map(({ light }) => light)
    assert.equal(new Set(all).size, all.length)
  })

  it('tells idle tokens and frames on any picture', () => {
    for (const picture of ['#000000', '#0d1117', '#7f7f7f', '#ffffff', overlay.paper, overlay.hatch]) {
      const faded = mixed(overlay.paper, overlay.fading, picture)
      assert.ok(contrast(overlay.hatch, faded) >= 3, `hatch on ${picture}`)
      const seen = Math.max(contrast(overlay.frame, picture), contrast(overlay.casing, picture))
      assert.ok(seen >= 3, `frame on ${picture}: ${seen}`)
    }
    assert.ok(contrast(overlay.frame, overlay.casing) >= 3)
  })
})

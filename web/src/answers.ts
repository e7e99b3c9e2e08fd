/** What the model says at this keep ratio, what that costs, and what the dense model says. */

import { idleStatistics, type Prediction } from 'idlevit'
import { byId, make, say } from './dom.js'
import { count, milliseconds, percent, ratio, times } from './format.js'
import type { Shown } from './shown.js'

/** Rows that are always there, so that nothing moves when labels change. */
const ROWS = 5
/** Turns from which on two medians are held against each other. */
const FEW = 3

export function createAnswers(): { update(shown: Shown): void } {
  const list = byId('labels', HTMLElement)
  const rows = Array.from({ length: ROWS }, () => {
    const name = make('span', { class: 'name' }, ' ')
    const bars = (['dense', 'idled'] as const).map((meaning) => {
      const bar = make('span', { class: `bar ${meaning}` })
      const value = make('span', { class: 'value' })
      return { line: make('span', { class: 'line' }, make('span', { class: 'track' }, bar), value), bar, value }
    })
    list.append(
      make(
        'li',
        {},
        name,
        make(
          'span',
          { class: 'lines' },
          bars.map(({ line }) => line),
        ),
      ),
    )
    return { name, bars }
  })
  const write = (id: string, text: string) => say(byId(id, HTMLElement), text || ' ')

  return {
    update({ info, dense, answer, tokens, times: measured }) {
      const shares = labelsOf(dense?.top ?? [], answer?.top ?? [])
      for (const [i, { name, bars }] of rows.entries()) {
        const row = shares[i]
        say(name, row?.label ?? ' ')
        for (const [j, { bar, value }] of bars.entries()) {
          const share = row?.shares[j]
          bar.style.inlineSize = `${(share ?? 0) * 100}%`
          say(value, share === undefined ? (row ? '–' : '') : percent(share))
        }
      }
      const [denseBest, idledBest] = [dense?.top[0], answer?.top[0]]
      if (denseBest && idledBest)
        write(
          'agreement',
          denseBest.index === idledBest.index
            ? `Both say ${idledBest.label}.`
            : `Dense says ${denseBest.label}, idled says ${idledBest.label}.`,
        )
      if (info) write('device', `${info.name}, ${count(info.params)} weights. ${info.runsOn}`)
      if (!answer) return
      write('k', ratio(answer.keep))
      const rested = measured?.keep === answer.keep ? measured : undefined
      const [idledTime, denseTime] = [rested?.idled ?? answer.milliseconds, rested?.dense ?? dense?.milliseconds]
      write('ms', milliseconds(idledTime))
      const speedup = rested && rested.turns >= FEW ? `, ${times(rested.dense / rested.idled)}` : ''
      write('ms-dense', denseTime === undefined ? '' : `dense ${milliseconds(denseTime)}${speedup}`)
      if (!tokens) return
      write('macs', count(tokens.macs))
      write('macs-dense', dense ? `dense ${count(dense.macs)}, ${times(dense.macs / tokens.macs)}` : '')
      const all = tokens.states.length * (tokens.states[0]?.length ?? 0)
      const computed = all - tokens.states.reduce((sum, states) => sum + states.filter((s) => s === 'idle').length, 0)
      const { idled, returned } = idleStatistics(tokens.states)
      write('computed', percent(computed / all))
      write('computed-of', `${computed} of ${all} in all blocks`)
      write('returned', String(returned))
      write('returned-of', `of ${idled} that idled`)
    },
  }
}

/** The labels that matter to either model, with the share that each of the two gives them. */
export function labelsOf(dense: readonly Prediction[], idled: readonly Prediction[]) {
  const shareOf = (list: readonly Prediction[], index: number) => list.find((each) => each.index === index)?.score
  const best = new Map([...dense, ...idled].map(({ index, label }) => [index, label]))
  return [...best]
    .map(([index, label]) => ({ label, shares: [shareOf(dense, index), shareOf(idled, index)] as const }))
    .sort((a, b) => Math.max(...b.shares.map((s) => s ?? 0)) - Math.max(...a.shares.map((s) => s ?? 0)))
}

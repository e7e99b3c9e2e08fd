/** What idling did to features, as one page that needs nothing else. */

import { lineChart } from '../page/curves.js'
import { chartPicture, dataTable, figure, gallery, html, keyNumbers, page } from '../page/page.js'
import { rangeOf } from '../page/range.js'
import type { Comparison } from './compare.js'
import type { EmbedReport } from './embed.js'

/** Shares of the pictures at which {@link Comparison.cosine} is known, and its names for them. */
const quantiles = [
  [0, 'min'],
  [0.05, 'p5'],
  [0.25, 'p25'],
  [0.5, 'median'],
  [0.75, 'p75'],
  [1, 'max'],
] as const

/** Draws the page as HTML. */
export async function drawComparison(report: EmbedReport, comparison: Comparison): Promise<string> {
  const { model, method, images, keepRatios, gmacs, pool = 'head' } = report
  const { cosine, neighbours, worst, blocks } = comparison
  const digits = (value: number | null) => (value === null ? 'too few pictures' : value.toFixed(4))
  const tokens = await chartPicture(
    (shape) =>
      lineChart([{ name: method, meaning: 'idled', values: blocks.map((block) => block.cosine) }], {
        shape,
        x: 'behind block',
        y: 'mean cosine with the dense tokens',
        range: cosineRange(blocks.map((block) => block.cosine)),
      }),
    `Mean cosine of image tokens with the dense model's, from ${digits(blocks[0]?.cosine ?? null)} behind the first block to ${digits(blocks.at(-1)?.cosine ?? null)} behind the last.`,
  )
  const known = (name: 'alike' | 'denseAlike') => blocks.flatMap((block) => block[name] ?? [])
  const smoothing = await chartPicture(
    (shape) =>
      lineChart(
        [
          { name: 'dense', meaning: 'dense', values: known('denseAlike') },
          { name: method, meaning: 'idled', values: known('alike') },
        ],
        {
          shape,
          x: 'behind block',
          y: 'mean cosine of pairs of tokens',
          range: cosineRange([...known('alike'), ...known('denseAlike')]),
        },
      ),
    `How alike a picture's tokens are behind the last block: ${digits(blocks.at(-1)?.alike ?? null)}, in the dense model ${digits(blocks.at(-1)?.denseAlike ?? null)}.`,
  )
  const pictures = await chartPicture(
    (shape) =>
      lineChart(
        [
          {
            name: method,
            meaning: 'idled',
            values: quantiles.map(([, name]) => cosine[name]),
            at: quantiles.map(([share]) => 100 * share),
          },
        ],
        {
          shape,
          x: '% of the pictures are below',
          y: 'cosine with the dense features',
          xRange: [0, 100],
          range: cosineRange([cosine.min, cosine.max]),
        },
      ),
    `Cosine of a picture's features with the dense ones: ${digits(cosine.min)} at least, ${digits(cosine.median)} in the middle, ${digits(cosine.max)} at most.`,
  )
  const asked = neighbours.queries < images ? `${neighbours.queries} evenly spread pictures` : 'every picture'
  return page({
    title: 'Features, idled and dense',
    lead: html`${model} under ${method}, ${gmacs.toFixed(3)} GMACs a picture, against the same model with every token, on ${images} pictures.`,
    summary: keyNumbers([
      { value: digits(cosine.mean), label: 'mean cosine with the dense features' },
      { value: digits(cosine.min), label: `of the picture that changed most` },
      ...(neighbours.recallAt1 === null
        ? []
        : [{ value: percent(neighbours.recallAt1), label: 'have the same nearest picture' }]),
      ...(neighbours.recallAt10 === null
        ? []
        : [{ value: percent(neighbours.recallAt10), label: 'of the ten nearest are found again' }]),
    ]),
    sections: [
      {
        id: 'pictures',
        title: 'Pictures',
        body: html`<p>One vector a picture (${pool}). Its cosine with the dense model’s says how far it moved; whether a search still finds the same pictures is asked of ${asked}, by cosine, among all others.</p>
${gallery('large', [
  figure(
    pictures,
    html`<strong>How far features moved.</strong> Pictures sorted by their cosine with the dense features.`,
  ),
  dataTable(
    'Pictures that changed most.',
    ['picture', 'cosine'],
    worst.map((each) => [each.path, digits(each.cosine)]),
  ),
])}`,
      },
      {
        id: 'tokens',
        title: 'Tokens',
        body: html`<p>Cosine of every image token with the dense model’s at the same place, on average over tokens that are there and over pictures.</p>
${gallery('large', [
  figure(tokens, html`<strong>Tokens with depth.</strong> 1 is the dense model.`),
  figure(
    smoothing,
    html`<strong>Over-smoothing.</strong> Mean cosine over all pairs of a picture’s tokens that are there (the paper’s Figure 6).`,
  ),
  dataTable(
    'By block.',
    ['block', 'keep ratio', 'cosine', 'gone', 'alike', 'alike, dense'],
    blocks.map(({ block, cosine, gone, alike, denseAlike }) => [
      block,
      keepRatios[block]?.toFixed(2) ?? '',
      digits(cosine),
      percent(gone),
      digits(alike),
      digits(denseAlike),
    ]),
  ),
])}`,
      },
    ],
    footer: html`Method: IdleViT (Xu et al., arXiv 2310.05654). Written by idlevit embed.`,
  })
}

/** No cosine is above 1. */
const cosineRange = (values: readonly number[]) => rangeOf(values, { within: [-1, 1] })

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

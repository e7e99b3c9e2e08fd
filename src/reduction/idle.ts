/**
 * Token idling (IdleViT, arXiv 2310.05654, section 3.2).
 *
 * In every idle block the K image tokens that the class token attends to most are selected and computed, together
 * with the class token. The others are idle: they pass by unchanged and may be selected again by a later block. Registers
 * are always computed. What ranks tokens in a model without a class token is in `scores-unled.ts`.
 */

import { fail } from '../errors.js'
import { slice } from '../graph/ops/shape.js'
import { type CutOptions, tokenCut, visits } from '../losses/cut.js'
import { type IdleBlock, idleBlock, maskedIdleBlock, type Score } from './idle-block.js'
import {
  idleWindows,
  ownsPredictor,
  planWindows,
  type Variant,
  variants,
  type WindowRanking,
  windowParameters,
} from './idle-windows.js'
import { type Build, type Method, type MethodPlan, type ModelShape, stateless } from './method.js'
import { denseBlock } from './none.js'
import { firstIdleBlock, KEEP_INPUT, keptSymbol, planKeep } from './schedule.js'
import { defaultRanking, type Ranking, rankings } from './scores-unled.js'
import { flag, oneOf, positiveShare } from './settings.js'

/** What may be asked of idling. */
export interface IdleSettings {
  readonly score?: Score
  /** Who ranks the tokens; default: the class token, and in models without one see `defaultRanking`. */
  readonly ranking?: Ranking | WindowRanking
  /** Of a pyramid: what idles, and whether what is not chosen is dead. */
  readonly variant?: Variant
  readonly dead?: boolean
  /**
   * Select as many tokens as hold this share of the attention that ranks them, in every block behind the first stage: each
   * picture decides. 1 keeps all.
   */
  readonly mass?: number
  /** Send blocks that keep all tokens through the idle path too. */
  readonly idleAll?: boolean
  /** The tokens of idle blocks come from inputs `selection.{block}`, int64 `[B, K]`, instead of a score. */
  readonly givenSelection?: boolean
  /** Whether idle block number i, counted from 0, traces the attention of all rows. */
  readonly traces?: (i: number) => boolean
  /** What the token cut loss is of, in training. */
  readonly cut?: CutOptions
}

/** The form of every block. */
function idleBlocks(build: Build, plan: MethodPlan & IdleSettings): IdleBlock[] {
  const { keep, form = 'gathered', official = false, score = 'softmax', idleAll, givenSelection, traces, mass } = plan
  const ranking = (plan.ranking as Ranking | undefined) ?? defaultRanking(build.shape)
  const { depth, tokens } = build.shape
  const scoring = official ? ('projected' as const) : ('folded' as const)
  const idle = form === 'masked' ? maskedIdleBlock : idleBlock
  let idleBlocksBefore = 0
  return keep.map((kept, l): IdleBlock => {
    const decided = mass !== undefined && mass < 1 && l >= firstIdleBlock(depth) && !givenSelection
    if (kept === tokens && !idleAll && !decided) return denseBlock
    const shared = {
      score,
      ranking,
      unled: build.shape.classToken === false,
      scoring,
      fullAttention: traces?.(idleBlocksBefore++) ?? false,
    }
    if (decided) {
      if (kept === 'fed') fail('elastic: wanted counts that are told, found mass, by which pictures decide them')
      return idle({ ...shared, keep: keptSymbol(l), mass })
    }
    if (kept === 'fed') {
      const count = slice(build.input(KEEP_INPUT, [depth], 'int64'), 0, l, l + 1) // [1]
      return idle({ ...shared, keep: keptSymbol(l), count })
    }
    if (!givenSelection) return idle({ ...shared, keep: kept })
    return idle({ ...shared, keep: kept, selection: build.input(`selection.${l}`, ['batch', kept], 'int64') })
  })
}

/** Refuses a ranking by what a model does not have. */
function checkRanking(ranking: IdleSettings['ranking'], { classToken = true, poolingQuery = false }: ModelShape): void {
  if (ranking === 'predictor') fail('ranking: predictor is for a Swin, found a model without windows')
  if (ranking === 'class' && !classToken)
    fail('ranking: class wants a class token, found a model without one; mean, received and norm need none')
  if (ranking === 'pooling' && !poolingQuery)
    fail('ranking: pooling wants a model that pools by attention, found one that does not')
}

/** Refuses shares of what is no attention. */
function checkMass(score: Score, ranking: IdleSettings['ranking'], { stages }: ModelShape): void {
  if (stages) fail('mass: the windows of a Swin have a fixed number of tokens: wanted a ViT')
  if (score === 'logits') fail('mass: a share of attention, wanted score softmax, found logits')
  if (ranking === 'norm') fail('mass: a share of attention, found ranking norm, which is none')
}

export const idle: Method<IdleSettings> = {
  name: 'idle',
  summary: 'tokens that the class token attends to least pass a block by and may come back (IdleViT)',
  keeps: 'K, K², K³ of all tokens in the second, third and last quarter of the blocks',
  paper: 'arXiv 2310.05654',
  shrinks: false,
  elastic: { from: firstIdleBlock },
  settings: {
    score: { describes: 'ranking of tokens, as --score', ...oneOf('softmax', 'logits') },
    ranking: {
      describes:
        "who ranks tokens (default: class, as in the paper; without a class token pooling or mean, this project's own; " +
        "of a Swin received or norm, this project's own, default received, or predictor, trained, as in the paper)",
      ...oneOf(...rankings, 'predictor'),
    },
    variant: {
      describes:
        "of a Swin, this project's reading of Table 3: the whole block idles (block, default), or its MLP alone (ffn)",
      ...oneOf(...variants),
    },
    mass: {
      describes:
        'compute as many tokens as hold this share of the attention that ranks them, each picture its own number ' +
        "(one picture a run; this project's own)",
      ...positiveShare,
      schedules: true,
    },
    dead: {
      describes: 'of a Swin: tokens that are not chosen are dead from then on, the control (default: false)',
      ...flag,
    },
  },
  tellsPlaces: true,
  windows: 'able',
  onePicture: ({ mass = 1, form = 'gathered' }) => mass < 1 && form === 'gathered',
  plan({ score = 'softmax', ranking, variant, dead, mass, ...request }, shape) {
    if (mass !== undefined) checkMass(score, ranking, shape)
    if (shape.stages) return planWindows({ score, ranking, variant, dead, ...request }, shape)
    for (const [name, value] of Object.entries({ variant, dead }))
      if (value !== undefined) fail(`${name}: an option for a Swin, found a model without windows`)
    checkRanking(ranking, shape)
    const own = { score, ...(ranking && { ranking }), ...(mass !== undefined && { mass }) }
    return { ...planKeep(request, shape.depth, shape.tokens), ...own }
  },
  parameters: (shape, keep, settings = {}) =>
    windowParameters(shape, keep, { ranking: settings.ranking as WindowRanking }),
  ownsWeight: ownsPredictor,
  countings: {
    kForAll: { label: 'keys of all tokens (structure of the official code)', plan: { official: true } },
    selectedOnly: { label: 'selected tokens only (no cost for scores)', plan: { givenSelection: true } },
  },
  learning: {
    forms: ['gathered', 'masked'],
    losses: {
      cut: {
        label: 'Token cut loss',
        weight: 20,
        settings: ({ cut = {} }) => ({ traces: (i) => visits(i, cut) }),
        compute({ steps }, { cut = {} }) {
          const idle = steps.filter(({ computed }) => computed).map(({ attention }) => attention)
          return idle.length > 0 ? tokenCut(idle, cut) : undefined
        },
      },
    },
  },
  open(build, plan) {
    if (build.shape.stages) return idleWindows(build, { ...plan, ranking: plan.ranking as WindowRanking })
    const blocks = idleBlocks(build, plan)
    return stateless((block, rows, reads) => (blocks[block.index] as IdleBlock)(block, rows, reads))
  },
}

/**
 * The number of attention heads, which no shape tells: said by hand or by a file, known from an architecture's name, or
 * guessed. Safe in browsers.
 */
import { fail } from '../errors.js'
import type { Said } from './json.js'

/** Who says something about a model. */
export interface Origin {
  /** For people: `config.json (num_attention_heads)`, `--heads`, `a guess: …`. */
  readonly source: string
  /** Nothing says it. */
  readonly guessed: boolean
}

/** Heads, and who says so. */
export interface Heads extends Origin {
  readonly heads: number
  /** A guess that may well be wrong. */
  readonly doubtful: boolean
}

/** LV-ViTs (arXiv 2104.10858) by size, and what their residual branches are multiplied by. */
const lvvits = [
  { width: 240, depth: 12, heads: 4, branchScale: 1 },
  { width: 384, depth: 16, heads: 6, branchScale: 1 / 2 },
  { width: 512, depth: 20, heads: 8, branchScale: 1 / 2 },
  { width: 768, depth: 24, heads: 12, branchScale: 1 / 3 },
] as const

/** T2T-ViTs (arXiv 2101.11986) by size. */
const t2tvits = [
  ...[7, 10, 12].map((depth) => ({ width: 256, depth, heads: 4 })),
  { width: 384, depth: 14, heads: 6 },
  { width: 448, depth: 19, heads: 7 },
  { width: 512, depth: 24, heads: 8 },
]

/** The factor of the residual branches of a published LV-ViT of this size, which no shape tells. */
export const publishedBranchScale = (width: number, depth: number): number | undefined =>
  lvvits.find((model) => model.width === width && model.depth === depth)?.branchScale

/** Published ViTs: arXiv 2010.11929 (base to huge), 2012.12877 (tiny, small), 2106.04560 (giant, gigantic). */
const published = [
  { name: 'tiny', width: 192, depth: 12, heads: 3 },
  { name: 'small', width: 384, depth: 12, heads: 6 },
  { name: 'base', width: 768, depth: 12, heads: 12 },
  { name: 'large', width: 1024, depth: 24, heads: 16 },
  { name: 'so', width: 1152, depth: 27, heads: 16 }, // shape-optimised, arXiv 2305.13035
  { name: 'huge', width: 1280, depth: 32, heads: 16 },
  { name: 'giant', width: 1408, depth: 40, heads: 16 },
  { name: 'giant', width: 1536, depth: 40, heads: 24 }, // DINOv2
  { name: 'gigantic', width: 1664, depth: 48, heads: 16 },
] as const

/** What is known about a model besides its weights. */
export interface HeadClues {
  /** Said by the caller. */
  readonly given?: number | undefined
  /** Said by a config.json. */
  readonly said?: Said<number> | undefined
  /** What that file is called. */
  readonly file?: string | undefined
  /** timm's name of the architecture. */
  readonly architecture?: string | undefined
  /** It is a DINOv3, in which heads have 64 numbers, and 128 in the largest. */
  readonly dinov3?: boolean | undefined
}

/**
 * The heads of a model of this width and depth.
 *
 * @throws InputError when the width cannot be split into them, or there is nothing to go by
 */
export function findHeads(width: number, depth: number, clues: HeadClues = {}): Heads {
  const { given, said, file = 'config.json', architecture, dinov3 = false } = clues
  if (given !== undefined) return certain(width, given, 'as given')
  if (said) return certain(width, said.value, `${file} (${said.field})`)
  if (dinov3 && width % 64 === 0)
    return certain(width, width === 4096 ? 32 : width / 64, 'as in every published DINOv3')
  const [, size] = /^(?:vit|deit3?|flexivit)_([a-z]+)/.exec(architecture ?? '') ?? []
  const named = published.find(({ name, width: known }) => name === size && known === width)
  if (named) return certain(width, named.heads, `${file} (architecture ${architecture})`)
  return guessHeads(width, depth)
}

function certain(width: number, heads: number, source: string): Heads {
  if (!Number.isInteger(heads) || heads < 1 || width % heads !== 0)
    fail(`a width of ${width} cannot be split into ${heads} heads`)
  return { heads, source, guessed: false, doubtful: false }
}

/** Heads of 64 numbers, as in most published ViTs; those of width 1280, 1408 and 1664 have 16, which are wider. */
function guessHeads(width: number, depth: number): Heads {
  const exact = [...lvvits, ...t2tvits].find((model) => model.width === width && model.depth === depth)
  const known = exact ?? published.find((model) => model.width === width)
  const wide = known !== undefined && !exact && width / known.heads !== 64
  if (!known && (width % 64 !== 0 || width === 0))
    fail(
      `the number of heads cannot be told from a width of ${width}, no multiple of 64: ` +
        'a config.json with num_attention_heads beside the weights says it, or heads by hand',
    )
  const why = known ? `as in published ViTs of width ${width} and depth ${known.depth}` : 'heads of 64 numbers'
  return {
    heads: known?.heads ?? width / 64,
    source: `a guess, ${why}`,
    guessed: true,
    doubtful: wide || known?.depth !== depth,
  }
}

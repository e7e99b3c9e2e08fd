/**
 * Every colour that is drawn, by what it means: a meaning has one hue wherever it appears, and a hue has one meaning.
 *
 * Lines, bars and letters stand out from both pages (WCAG 2.2: 3:1 for graphics, 4.5:1 for text), and colours that
 * share a figure stay apart for readers who see no red, green or blue; `palette.test.ts` holds the file to both.
 */

/** A colour on light and on dark pages. */
export interface Tone {
  readonly light: string
  readonly dark: string
}

const tone = (light: string, dark: string): Tone => ({ light, dark })

/** What pages are made of. */
export const surfaces = {
  /** Behind everything. */
  page: tone('#fcfcfb', '#15181b'),
  /** Behind numbers and code. */
  card: tone('#f3f4f3', '#1e2226'),
  /** Grid lines and borders; nothing is read from them. */
  line: tone('#d9dcdf', '#343a40'),
} as const

/** Letters and axes. */
export const inks = {
  ink: tone('#1c2024', '#e6e8ea'),
  soft: tone('#5b636b', '#a0a8b0'),
} as const

/** What is measured and drawn. */
export const meanings = {
  /** A token that its block computes. */
  computed: tone('#0b7a6f', '#3fbfae'),
  /** A token that its block computes and that idled in the block just before. */
  returned: tone('#a86a00', '#f5c451'),
  /** A token that its block leaves as it is. */
  idle: tone('#858c94', '#78828b'),
  /** A token that shares a row with others. */
  merged: tone('#8a3ffc', '#c4a0ff'),
  /** A model that computes every token. */
  dense: tone('#1b66b1', '#6fb1f0'),
  /** A model that is idled, and what it is trained to. */
  idled: tone('#c2470c', '#f6975b'),
  /** What results are held against: chance, a model before training. */
  reference: tone('#5b636b', '#a0a8b0'),
  fp32: tone('#4a35a5', '#a895f5'),
  int8: tone('#c03a86', '#ff9ccf'),
  /** Methods that group, drop, merge or sample tokens, skip heads or go through several nets. */
  group: tone('#34988b', '#24ff64'),
  evit: tone('#9649ff', '#005fff'),
  dynamicvit: tone('#542d64', '#e75ab6'),
  evovit: tone('#713d00', '#f32f0a'),
  ats: tone('#9d3072', '#ffb0b8'),
  tome: tone('#320599', '#eebfff'),
  adavit: tone('#283bb4', '#3c90e8'),
  spvit: tone('#c569c2', '#b31acf'),
  dvt: tone('#ff0b5d', '#c85963'),
  /** A quantity that is alone in its figure, a model of the reader's own. */
  quantity: tone('#1c2024', '#e6e8ea'),
} as const satisfies Record<string, Tone>

export type Meaning = keyof typeof meanings

/** What photographs are covered with: the same on light and dark pages, told apart on any picture. */
export const overlay = {
  /** Idle tokens fade to paper … */
  paper: '#f4f2ec',
  /** … by so much, and lose their colour … */
  fading: 0.86,
  /** … and are hatched, so that they are told on white pictures too. */
  hatch: '#6c747c',
  /** The frame of tokens that came back … */
  frame: meanings.returned.dark,
  /** … and of those that share a row … */
  joined: meanings.merged.dark,
  /** … between two lines that part it from any picture. */
  casing: '#15181b',
} as const

/** Meanings that share a figure. */
export const figuresOf = {
  tokens: ['computed', 'returned', 'idle'],
  models: ['dense', 'idled', 'reference'],
  methods: [
    'dense',
    'idled',
    'group',
    'evit',
    'dynamicvit',
    'evovit',
    'ats',
    'tome',
    'adavit',
    'spvit',
    'dvt',
    'quantity',
  ],
  precisions: ['fp32', 'int8'],
} as const satisfies Record<string, readonly Meaning[]>

/** The inference graphs of a cascade: one for every net, so that what no picture asks for is never run. */

import { createGraph, type Graph, input, output } from '../graph/graph.js'
import { constantWeights, type WeightValues } from './build.js'
import { type CascadeConfig, netsOf } from './cascade.js'
import { dvtNet, type Passed } from './dvt.js'

/** What is wanted of a net's graph. */
export interface NetOptions {
  /** Compute every row of every block, as the official code does; default: what the answer or the next net reads. */
  readonly allRows?: boolean | undefined
}

/**
 * The graph of one net, from `pixel_values` `[batch, 3, S, S]` and, behind the first net, what the one before passed on:
 * `received_rows` `[batch, m, C]` and `received_relations` `[batch, L·H, m, m]`, to `logits` `[batch, classes]` and, before the
 * last net, `rows` and `relations`.
 *
 * @param index - the net, from 0
 */
export function buildNet(
  config: CascadeConfig,
  values: WeightValues,
  index: number,
  { allRows = false }: NetOptions = {},
): { readonly graph: Graph } {
  const { cascade, imageSize, width, depth, heads } = config
  const nets = netsOf(config)
  const net = nets[index]
  if (!net) throw new Error(`net ${index}: the cascade has ${nets.length}`)
  const graph = createGraph()
  const pixels = input(graph, 'pixel_values', ['batch', 3, imageSize, imageSize])
  const rows = (net.before ?? 0) ** 2 + 1
  const received: Passed | undefined =
    net.before === undefined
      ? undefined
      : {
          ...(cascade.features && { rows: input(graph, 'received_rows', ['batch', rows, width]) }),
          ...(cascade.relations && {
            relations: input(graph, 'received_relations', ['batch', depth * heads, rows, rows]),
          }),
        }
  const last = index === nets.length - 1
  const found = dvtNet(constantWeights(graph, values), pixels, net, cascade, { received, allRows: allRows || !last })
  output('logits', found.logits)
  if (!last && cascade.features) output('rows', found.rows)
  if (!last && cascade.relations) output('relations', found.relations)
  return { graph }
}

/** The plan that a model is opened with: what the caller asks for, and what a model's own files say. */
import { present } from '../present.js'
import type { Score } from './idle.js'
import type { KeepRequest } from './schedule.js'

/** A request for tokens, and what they are ranked by. */
export interface PlanRequest extends KeepRequest {
  readonly score?: Score | undefined
}

/** The plan that is asked for; what it leaves open is as the model's files say (`stored`). */
export function requestedPlan(asked: PlanRequest, stored: PlanRequest = {}): KeepRequest & { readonly score?: Score } {
  const { keepRatio, keepRatios, keepTokens } = isGiven(asked) ? asked : stored
  return present({ keepRatio, keepRatios, keepTokens, score: asked.score ?? stored.score })
}

const isGiven = ({ keepRatio, keepRatios, keepTokens }: KeepRequest): boolean =>
  keepRatio !== undefined || keepRatios !== undefined || keepTokens !== undefined

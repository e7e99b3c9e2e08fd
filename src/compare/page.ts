import type { CompareReport } from './compare.js'
export async function drawPage(_: CompareReport): Promise<string> {
  return ''
}

/**
 * `--device webgpu` in Node gives the CPU's answers. Without a GPU Chromium's software driver stands in: SwiftShader,
 * through the Vulkan loader beside it.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { maxAbsDiff } from './support/models.js'

const driver = process.env.VK_ICD_FILENAMES ?? '/usr/lib/chromium/vk_swiftshader_icd.json'
const skip = existsSync(driver) ? false : `no ${driver}: apt-get install chromium, or set VK_ICD_FILENAMES`

interface Answer {
  readonly logits: number[]
  readonly selected: number[][][]
  readonly warnings: string[]
}

describe('webgpu', { skip }, () => {
  it('gives the logits and selections of the CPU', async () => {
    const child = fileURLToPath(new URL('./support/webgpu-child.ts', import.meta.url))
    const paths = [process.env.LD_LIBRARY_PATH, dirname(driver)].filter(Boolean).join(':')
    const env = { ...process.env, VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: paths }
    const cwd = join(dirname(child), '../..')
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--import', 'tsx', child], { env, cwd })
    assert.equal(stderr, '')
    const { cpu, fp32, fp16 } = JSON.parse(stdout) as Record<'cpu' | 'fp32' | 'fp16', Answer>
    const distance = (answer: Answer) => maxAbsDiff(Float32Array.from(answer.logits), Float32Array.from(cpu.logits))
    assert.ok(distance(fp32) < 1e-5, `${distance(fp32)}`)
    assert.deepEqual(fp32.selected, cpu.selected)
    assert.deepEqual(fp32.warnings, [])
    assert.ok(distance(fp16) > 0 && distance(fp16) < 0.02, `${distance(fp16)}`)
    // SwiftShader has no float16; a GPU that has it warns of nothing.
    for (const warning of fp16.warnings) assert.match(warning, /webgpu computes no float16 here/)
  })
})

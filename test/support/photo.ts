/** A generated picture that no model here was trained on, whose object the embedded model knows, as `photo.jpg`. */

import sharp from 'sharp'
import { scene, sceneSeeds } from '../../src/data/scenes/scene.js'

export const drawn = scene(sceneSeeds.test, 0)

export async function writePhoto(path: string): Promise<void> {
  const { data, width, height } = drawn.image
  await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 95 })
    .toFile(path)
}

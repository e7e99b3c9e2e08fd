/** The small models that come with the package, trained on generated scenes (src/data/scenes). */
import { fileURLToPath } from 'node:url'

/** Folders under `models/` by the name that `--model` takes. */
const folders = {
  /** Finetuned to be idled at any keep ratio from 0.5 on. */
  demo: 'scenes-idle',
  /** What it was finetuned from: trained with every token in every block. */
  'demo-dense': 'scenes-dense',
} as const

/** Names of embedded models. */
export const embeddedNames: readonly string[] = Object.keys(folders)

/** The folder of the embedded model of a name; undefined where there is none of that name. */
export function embeddedFolder(name: string): string | undefined {
  if (!Object.hasOwn(folders, name)) return undefined
  // Sources, compiled files and the bundle all lie two folders below the package.
  return fileURLToPath(new URL(`../../models/${folders[name as keyof typeof folders]}`, import.meta.url))
}

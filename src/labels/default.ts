/** The class names of a model: its own, or those that its number of classes suggests. */
import { imagenetLabels } from './imagenet.js'

/** The model with class names: those given, its own, or ImageNet-1K's for 1000 classes. */
export function withLabels<
  M extends { readonly config: { readonly classes: number }; readonly labels?: readonly string[] },
>(model: M, given?: readonly string[]): M {
  const labels = given ?? model.labels ?? (model.config.classes === 1000 ? imagenetLabels : undefined)
  return labels ? { ...model, labels } : model
}

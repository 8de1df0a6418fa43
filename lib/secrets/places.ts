import type { ComposeModel } from '../compose/model.ts'
import { secretsOfModel } from './find.ts'
import type { Mask } from './mask.ts'

/** Part of a text in a model that is known to be secret only from the env files of the time. */
export interface SecretPlace {
  /** the keys from the model to the text */
  readonly path: readonly string[]
  readonly from: number
  readonly to: number
}

/**
 * For a bundle, which must not contain the values.
 * @returns the places of secrets in a model's services that `secretsOfModel` would not find by itself
 */
export function secretPlaces(model: ComposeModel, mask: Mask): { secret_at?: SecretPlace[] } {
  const obvious = new Set(secretsOfModel(model))
  const places: SecretPlace[] = []
  const walk = (value: unknown, path: readonly string[]) => {
    if (typeof value === 'string')
      for (const [from, to] of mask.find(value))
        if (!obvious.has(value.slice(from, to))) places.push({ path, from, to })
    if (typeof value !== 'object' || value === null) return
    for (const [key, item] of Object.entries(value)) walk(item, [...path, key])
  }
  walk(model.services, ['services'])
  return places.length === 0 ? {} : { secret_at: places }
}

/** @returns the secrets at these places of a model. Places that it does not have are ignored. */
export function secretsAt(model: ComposeModel, places: readonly SecretPlace[] | undefined = []): string[] {
  return places.flatMap(({ path, from, to }) => {
    const text = path.reduce<unknown>((value, key) => member(value, key), model)
    return typeof text === 'string' && to <= text.length ? [text.slice(from, to)] : []
  })
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (value as Record<string, unknown>)[key] // its own key, checked
}

/** A service in a file for `docker stack deploy`: the part that the fake knows. */
export type Definition = Readonly<Record<string, unknown>> & {
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  readonly deploy: {
    readonly mode: string
    readonly replicas: number
    readonly labels?: Readonly<Record<string, string>>
    readonly placement?: { readonly constraints?: readonly string[] }
  }
  readonly environment?: Readonly<Record<string, string>>
}

/** Those of the service, not of its tasks. */
export function labelsOf({ deploy }: Definition): [string, string][] {
  return Object.entries(deploy.labels ?? {})
}

/** Where a task runs, or is to. */
export interface Place {
  readonly slot: number
  readonly node: string
}

export function isAt(task: Place, { slot, node }: Place): boolean {
  return task.slot === slot && (slot > 0 || task.node === node)
}

export function taskSpec({ deploy: _, forced = 0, ...spec }: Definition): object {
  return {
    ForceUpdate: forced,
    ContainerSpec: { Image: spec.image, Labels: spec.labels, Env: spec.environment, Rest: JSON.stringify(spec) },
  }
}

import type { InternalRoute, ProjectRoutes, Route } from '../../plan/routes/table.ts'

/** @returns the routes as releases have them, without what only the proxy keeps. */
export function asReleased(kept: ProjectRoutes): ProjectRoutes {
  const known = (route: Route): Route => {
    if (route.internal?.named === undefined) return route
    const { named: _, ...internal } = route.internal
    return { ...route, internal }
  }
  return Object.fromEntries(Object.entries(kept).map(([project, routes]) => [project, routes.map(known)]))
}

/**
 * @param routes the new ones of a project
 * @param kept those of all projects, as the proxy has them
 * @returns those of all projects. If another project already has the same port of a network, it keeps its callers: the
 * new route matches by its name only (`named`)
 */
export function withOthers(project: string, routes: readonly Route[], kept: ProjectRoutes): ProjectRoutes {
  const { [project]: mine = [], ...theirs } = kept
  const others = withoutSubnets(theirs, routes)
  if (routes.length === 0) return others
  const all = Object.values(others).flat()
  const own = routes.map((route): Route => {
    if (route.internal === undefined) return route
    const was = mine.find(({ service }) => service === route.service)?.internal
    const named = route.internal.subnets.filter((subnet) => isTaken(subnet, route.internal, was, all))
    return named.length > 0 ? { ...route, internal: { ...route.internal, named } } : route
  })
  return { ...others, [project]: own }
}

/** @param was the same route before: a subnet in which it was first stays its own */
function isTaken(
  subnet: string,
  { port }: Pick<InternalRoute, 'port'> = { port: 0 },
  was: InternalRoute | undefined,
  others: readonly Route[],
): boolean {
  const has = (route: InternalRoute | undefined) => route?.port === port && route.subnets.includes(subnet)
  const wasFirst = has(was) && was?.named?.includes(subnet) !== true
  return !wasFirst && others.some(({ internal }) => has(internal))
}

/**
 * A subnet belongs to one network at a time: a network of another name that had it before has lost it. (Two projects
 * that share a network share its subnet.)
 */
function withoutSubnets(others: ProjectRoutes, routes: readonly Route[]): ProjectRoutes {
  const mine = routes.flatMap(({ internal }) => internal ?? [])
  const free = (route: Route): Route => {
    const { internal } = route
    if (internal === undefined) return route
    const isStale = (subnet: string) =>
      mine.some(
        (own) => own.subnets.includes(subnet) && !own.networks.some((network) => internal.networks.includes(network)),
      )
    const subnets = internal.subnets.filter((subnet) => !isStale(subnet))
    return subnets.length === internal.subnets.length ? route : { ...route, internal: { ...internal, subnets } }
  }
  return Object.fromEntries(Object.entries(others).map(([name, theirs]) => [name, theirs.map(free)]))
}

/** What is unusual about the nodes of a fake Swarm. */
export interface NodeSettings {
  readonly workers: ReadonlySet<string>
  readonly drained: ReadonlySet<string>
  readonly down: ReadonlySet<string>
  readonly labels: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly engines: Readonly<Record<string, string>>
}

/** What `docker node inspect` says of a node. `n1` leads. */
export function inspectNode(name: string, { workers, drained, down, labels, engines }: NodeSettings): object {
  const isDown = down.has(name)
  return {
    ID: name,
    Spec: {
      Role: workers.has(name) ? 'worker' : 'manager',
      Availability: drained.has(name) ? 'drain' : 'active',
      Labels: labels[name] ?? {},
    },
    Description: {
      Hostname: name,
      Engine: { EngineVersion: engines[name] ?? '28.5.1' },
      Platform: { OS: 'linux', Architecture: 'x86_64' },
    },
    Status: { State: isDown ? 'down' : 'ready', Addr: '192.0.2.1' },
    ManagerStatus: { Leader: name === 'n1', Reachability: isDown ? 'unreachable' : 'reachable' },
  }
}

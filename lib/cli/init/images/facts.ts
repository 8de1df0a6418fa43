/** What is known of a service's image without pulling or building it. */
export interface ImageFacts {
  /** the image that it is built from */
  readonly base?: string
  /** the ports of `EXPOSE`, for TCP */
  readonly ports: readonly number[]
  /** paths of volumes that it declares */
  readonly volumes: readonly string[]
  /** the words of its healthcheck */
  readonly probe: readonly string[]
}

export const NO_FACTS: ImageFacts = { ports: [], volumes: [], probe: [] }

/** @returns the port of `3000` or `3000/tcp`; none for a range, a variable or another protocol */
export function tcpPort(text: string): number[] {
  const [, port] = /^(\d{1,5})(?:\/tcp)?$/i.exec(text) ?? []
  return port === undefined ? [] : [Number(port)]
}

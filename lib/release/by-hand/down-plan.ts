import type { Host } from '../../hosts/host.ts'

/** What `down` removes on one host. */
export interface DownPlan {
  readonly host: Host
  /** the Compose project */
  readonly project: string
  readonly containers: readonly { readonly id: string; readonly name: string }[]
  readonly networks: readonly string[]
  /** addresses that the proxy will not answer any more */
  readonly routes: readonly string[]
  /** its public routes are under maintenance, which ends */
  readonly maintenance: boolean
  /** the proxy goes too: it has routes of no other project */
  readonly proxy: boolean
  /** with the data in them; empty unless asked for */
  readonly volumes: readonly string[]
  /** tags that only its releases need; empty unless the history goes */
  readonly images: readonly string[]
}

/** What else goes besides what runs. */
export interface DownWish {
  readonly volumes: boolean
  readonly history: boolean
}

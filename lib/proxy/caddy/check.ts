import { childError, type Docker } from '../../docker/client.ts'
import type { Route } from '../../plan/routes/table.ts'
import { sameContent } from '../../util/canonical.ts'
import { StagecraftError } from '../../util/errors.ts'
import { inProxy } from '../inside/run.ts'
import { REFUSED, VALIDATE } from '../inside/scripts.ts'
import { caddyConfig } from './config.ts'

/**
 * Has Caddy check the handlers that the operator has written, before anything is changed for them.
 * @param found the routes that the proxy has: what it has loaded is not checked again
 * @throws config (3), with what Caddy says
 */
export async function checkHandlers(docker: Docker, routes: readonly Route[], found: readonly Route[]): Promise<void> {
  for (const { service, hosts, path, ports, rules } of routes) {
    const { caddy } = rules ?? {}
    const was = found.find((route) => route.service === service)
    if (caddy === undefined || sameContent(caddy, was?.rules?.caddy)) continue
    // Alone: what others have may be about to change too.
    const config = caddyConfig({ check: [{ service, hosts, path, ports, tls: 'off', rules: { caddy } }] })
    const result = await inProxy(docker, 'validate', VALIDATE, [], { input: JSON.stringify(config) })
    if (result.code === REFUSED)
      throw new StagecraftError('config', `Cannot expose ${service}: Caddy refuses its \`caddy\` handlers`, {
        detail: result.stderr.trim(),
        hint: 'What there is: https://caddyserver.com/docs/json/apps/http/servers/routes/handle/',
      })
    if (result.code !== 0) throw childError('have Caddy check its handlers', result)
  }
}

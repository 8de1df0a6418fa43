import type { ProxyConfig } from '../../config/edge/proxy.ts'
import type { Docker } from '../../docker/client.ts'
import { hasImage, pull } from '../../docker/image-store.ts'
import type { ProxyContainer } from '../../docker/inspect.ts'
import { runOnce } from '../../docker/lifecycle.ts'
import { PROXY_IMAGE } from '../../plan/routes/table.ts'
import { StagecraftError } from '../../util/errors.ts'
import { LIST_MODULES } from '../inside/scripts.ts'

/**
 * Asks the image that the proxy has, or will have. @param pulls an image that is not there; otherwise that is not asked
 * @throws config (3) if it lacks the module of Caddy that the DNS challenge needs
 */
export async function requireModule(
  docker: Docker,
  { config, proxy }: { readonly config: ProxyConfig; readonly proxy: ProxyContainer | undefined },
  { pulls = false }: { readonly pulls?: boolean } = {},
): Promise<void> {
  const provider = config.acme?.dns?.provider
  if (provider === undefined) return
  const image = config.image ?? proxy?.reference ?? PROXY_IMAGE
  // A tag may have moved since the proxy was created.
  const asked = proxy?.reference === image ? proxy.image : image
  if (!(await hasImage(docker, asked))) {
    if (!pulls) return
    await pull(docker, [image], { flags: { quiet: true }, what: `pull ${image} for the proxy` })
  }
  const flags = { network: 'none', entrypoint: '/bin/sh' }
  const { code, stdout } = await runOnce(docker, [asked, '-c', LIST_MODULES], { flags, readOnly: true })
  const module = `dns.providers.${provider}`
  if (code !== 0 || stdout.split('\n').some((line) => line.trim() === module)) return
  throw new StagecraftError(
    'config',
    `Cannot use the DNS challenge of ${provider}: ${image} lacks Caddy's module ${module}`,
    {
      hint: [
        'Build an image with it, and name it in stagecraft.yml (`proxy: {image: …}`), for example of this Dockerfile:',
        '  FROM caddy:2-builder AS build',
        `  RUN xcaddy build --with github.com/caddy-dns/${provider}`,
        '  FROM caddy:2',
        '  COPY --from=build /usr/bin/caddy /usr/bin/caddy',
      ].join('\n'),
    },
  )
}

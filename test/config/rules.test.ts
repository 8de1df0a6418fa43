import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { errorOf } from '../support/failure.ts'

const problem = (text: string) => (errorOf(() => parseConfig(text)).detail ?? '').replaceAll('stagecraft.yml:', '')

const ASSETS =
  'must be a mapping such as {path: /assets, folder: /app/public/assets}: what the service is asked for, and where its image has it'

test.each([
  '{host: a, port: 80, assets: {path: /assets, folder: /app/public/assets}}',
  '{host: a, port: 80, assets: {path: /, folder: /srv}}',
  '{host: a, port: 80, path: /docs/, assets: {path: /docs/assets, folder: /srv}}',
  '{host: a, port: 80, path: /docs, strip_path: true, assets: {path: /assets, folder: /srv}}',
])('assets may be those that the service can be asked for: %s', (text) => {
  expect(() => parseConfig(`environments: {p: {services: {w: {expose: ${text}}}}}`)).not.toThrow()
})

test('a rule that is wrong is said with its place; what may be a password is not repeated', () => {
  const cases: Readonly<Record<string, string>> = {
    'expose: {internal: true, port: 80, allow: 10.0.0.1}':
      '1:43: has a rule for visitors (`allow`, `auth`, `headers` and so on), which needs a `host`',
    'expose: {host: a, port: 80, strip_path: true}': '1:43: `strip_path` needs a `path` that is taken away',
    'expose: {host: a, port: 80, tls: off, http: serve}':
      '1:43: `http` is for a service with TLS: with `tls: off` all is HTTP',
    'expose: {host: a, port: 80, tls: off, allow: 10.0.0.1}':
      '1:43: `allow` would see the address of the balancer before it: let that decide, or set `trusted_proxies: []` if there is none',
    'expose: {host: a, port: 80, protocol: grpc}': '1:73: must be http or h2c, not "grpc"',
    'expose: {host: a, port: 80, protocol: h2c, health: /up}':
      '1:43: `health` is asked by HTTP/1.1, which a service with `protocol: h2c` may not speak: give it a healthcheck in the Compose file',
    'expose: {host: a, port: 80, allow: []}': '1:70: must not be empty',
    'expose: {host: a, port: 80, allow: office}':
      '1:70: must be an address or a range such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32, or the word private_ranges',
    'expose: {host: a, port: 80, auth: {ops: secret}}':
      '1:75: must be a bcrypt hash, as `docker run --rm -it caddy:2 caddy hash-password` prints it: $2a$…',
    'expose: {host: a, port: 80, auth: {ops: 123456}}':
      '1:75: must be a bcrypt hash, as `docker run --rm -it caddy:2 caddy hash-password` prints it: $2a$…',
    'expose: {host: a, port: 80, auth: "ops:secret"}': '1:69: must be a mapping of names to bcrypt hashes',
    'expose: {host: a, port: 80, auth: {"ops:secret": }}':
      '1:70: must be a name without spaces and colons\n1:84: must be a bcrypt hash, as `docker run --rm -it caddy:2 caddy hash-password` prints it: $2a$…',
    'expose: {host: a, port: 80, auth: {}}': '1:69: must not be empty',
    'expose: {host: a, port: 80, max_body: 10}': '1:73: must be a size such as 500kB, 10MB or 1GB, not 10',
    'expose: {host: a, port: 80, max_body: 0MB}': '1:73: must be more than zero',
    'expose: {host: a, port: 80, headers: {"X Y": z}}': '1:73: must be the name of a header, not "X Y"',
    'expose: {host: a, port: 80, headers: {content-LENGTH: "5", Connection: }}':
      '1:73: is a header that HTTP itself needs: it cannot be changed\n1:94: is a header that HTTP itself needs: it cannot be changed',
    'expose: {host: a, port: 80, headers: {X: "{file./etc/passwd}"}}':
      '1:76: must be a text without control characters and braces',
    'expose: {host: a, port: 80, error_pages: down.txt}': '1:76: must be a file that ends with .html',
    'expose: {host: a, port: 80, error_pages: {404: a.html}}':
      '1:77: must be 401, 403, 413, 502, 503 or 504: what the proxy answers itself, not "404" (did you mean "401"?)',
    'expose: {host: a, port: 80, error_pages: {}}': '1:76: must not be empty',
    'expose: {host: a, port: 80, caddy: {handler: x}}': '1:70: must be a list of handlers of Caddy, not a mapping',
    'expose: {host: a, port: 80, caddy: [{match: x}]}':
      '1:71: must be a handler of Caddy, such as {handler: static_response, body: ok}',
    'expose: {host: a, port: 80, access_log: json}': '1:75: must be true or false, not "json"',
    'expose: {host: a, port: 80, http: maybe}': '1:69: must be redirect or serve, not "maybe"',
    'expose: {host: a, port: 80, assets: /assets}': `1:71: ${ASSETS}, not "/assets"`,
    'expose: {host: a, port: 80, assets: {path: /assets}}': `1:71: ${ASSETS}`,
    'expose: {host: a, port: 80, assets: {path: /assets/, folder: /a}}':
      '1:78: must be a path such as /assets: letters, digits and -._~/ after a first /, and none at its end, not "/assets/"',
    'expose: {host: a, port: 80, assets: {path: /a/../b, folder: /}}':
      '1:78: must be a path such as /assets: letters, digits and -._~/ after a first /, and none at its end\n1:95: must be a folder of the image such as /app/public/assets, not "/"',
    'expose: {host: a, port: 80, assets: {path: /a, folder: "/{file./etc/passwd}"}}':
      '1:90: must be a folder of the image such as /app/public/assets, not "/{file./etc/passwd}"',
    'expose: {host: a, port: 80, path: /docs, assets: {path: /assets, folder: /a}}':
      '1:43: the path of `assets` is never asked for: it must be below `path`, which the service gets as it is',
    'expose: {internal: true, port: 80, assets: {path: /assets, folder: /a}}':
      '1:43: has a rule for visitors (`allow`, `auth`, `headers` and so on), which needs a `host`',
    'expose: {host: a, port: 80, timeout: 0s}': '1:72: must be more than zero',
  }
  const found = Object.keys(cases).map((text) => [text, problem(`environments: {p: {services: {w: {${text}}}}}`)])
  expect(Object.fromEntries(found)).toEqual(cases)
})

import { expect, test } from 'bun:test'
import { parseConfig } from '../../lib/config/parse.ts'
import { errorOf } from '../support/failure.ts'

const problem = (text: string) => (errorOf(() => parseConfig(text)).detail ?? '').replaceAll('stagecraft.yml:', '')

test('a rule that is wrong is said with its place; what may be a password is not repeated', () => {
  const cases: Readonly<Record<string, string>> = {
    'expose: {internal: true, port: 80, allow: 10.0.0.1}':
      '1:43: has a rule for visitors (`allow`, `auth`, `headers` and so on), which needs a `host`',
    'expose: {host: a, port: 80, strip_path: true}': '1:43: `strip_path` needs a `path` that is taken away',
    'expose: {host: a, port: 80, tls: off, http: serve}':
      '1:43: `http` is for a service with TLS: with `tls: off` all is HTTP',
    'expose: {host: a, port: 80, tls: off, allow: 10.0.0.1}':
      '1:43: `allow` would see the address of the balancer before it: let that decide, or set `trusted_proxies: []` if there is none',
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
    'expose: {host: a, port: 80, timeout: 0s}': '1:72: must be more than zero',
  }
  const found = Object.keys(cases).map((text) => [text, problem(`environments: {p: {services: {w: {${text}}}}}`)])
  expect(Object.fromEntries(found)).toEqual(cases)
})

import { expect, test } from 'bun:test'
import { rulesOf } from '../../lib/config/edge/rules.ts'
import { caddyConfig } from '../../lib/proxy/caddy/config.ts'
import { ruleRoutes } from '../../lib/proxy/caddy/rules.ts'

test('what changes nothing is no rule: such a route loads no configuration', () => {
  expect(rulesOf({})).toBeUndefined()
  expect(rulesOf({ compress: false, http: 'redirect', strip_path: false })).toBeUndefined()
  expect(rulesOf({ allow: ['private_ranges'], timeout: 5 })).toEqual({
    allow: ['192.168.0.0/16', '172.16.0.0/12', '10.0.0.0/8', '127.0.0.1/8', 'fd00::/8', '::1'],
    timeout: 5,
  })
  expect(ruleRoutes({ path: '/' })).toEqual([])
})

test('a request that says that it is too long does not reach the service; one that says nothing is cut', () => {
  expect(JSON.parse(JSON.stringify(ruleRoutes({ path: '/', rules: { max_body: 5000 } })))).toEqual([
    {
      match: [
        {
          expression: '{http.request.header.Content-Length} != "" && int({http.request.header.Content-Length}) > 5000',
        },
      ],
      terminal: true,
      handle: [{ handler: 'static_response', status_code: '413', body: 'This request is too large.\n' }],
    },
    { handle: [{ handler: 'request_body', max_size: 5000 }] },
  ])
})

test('the size limit is reported only to those who may ask', () => {
  const rules = { auth: { ops: 'HASH' }, max_body: 5000 }
  const handlers = ruleRoutes({ path: '/', rules }).map(({ handle }) => (handle as { handler: string }[])[0]?.handler)
  expect(handlers).toEqual(['authentication', 'static_response', 'request_body'])
})

test('who is not allowed is refused before a password is asked for, and has the headers too', () => {
  const rules = { auth: { ops: 'HASH' }, allow: ['10.0.0.0/8'], headers: { A: '1', Server: null }, strip_path: true }
  const response = { delete: ['Server'], set: { A: ['1'] } }
  expect(JSON.parse(JSON.stringify(ruleRoutes({ path: '/x', rules })))).toEqual([
    {
      handle: [
        { handler: 'headers', response },
        { handler: 'headers', response: { ...response, deferred: true } },
      ],
    },
    {
      match: [{ not: [{ remote_ip: { ranges: ['10.0.0.0/8'] } }] }],
      terminal: true,
      handle: [
        { handler: 'static_response', status_code: '403', body: 'Access to this site is not allowed from here.\n' },
      ],
    },
    {
      handle: [
        {
          handler: 'authentication',
          providers: {
            http_basic: {
              hash: { algorithm: 'bcrypt' },
              accounts: [{ username: 'ops', password: 'HASH' }],
              hash_cache: {},
            },
          },
        },
      ],
    },
    { handle: [{ handler: 'rewrite', strip_path_prefix: '/x' }] },
  ])
})

test('an error of the proxy has the page of its status, if the application gives one', () => {
  const web = {
    service: 'web',
    hosts: ['a.example.com'],
    path: '/',
    tls: 'off',
    ports: { a: 80, b: 80 },
    rules: { allow: ['10.0.0.0/8'], error_pages: { '403': 'no.html', '503': 'down.html' } },
  } as const
  const { errors, routes } = JSON.parse(JSON.stringify(caddyConfig({ shop: [web] }))).apps.http.servers['port-80']
  const [own] = routes[1].handle
  expect(own.routes[0].handle).toEqual([
    { handler: 'vars', error_page_403: '/shop/web.403.html', error_page_503: '/shop/web.503.html' },
  ])
  expect(own.routes[2].handle).toEqual([{ handler: 'error', status_code: '403' }])
  expect(own.routes.at(-1).handle).toEqual([{ handler: 'error', status_code: '503' }])
  const looks = errors.routes.map(({ match, handle }: { match: object[]; handle: object[] }) => [
    match[0],
    handle.at(-1),
  ])
  const root = '/config/stagecraft/pages'
  const page = (status: string) => [
    {
      vars: { '{http.error.status_code}': [status] },
      file: { root, try_files: [`{http.vars.error_page_${status}}`] },
    },
    { handler: 'file_server', root, status_code: status },
  ]
  expect(looks).toEqual([page('403'), page('503')])
})

test('handlers of Caddy get a request last: those before have let it pass, and changed it', () => {
  const caddy = [
    { handler: 'headers', request: { set: { A: ['{file./x}'] } } },
    { handler: 'invoke', name: 'x' },
  ]
  const rules = { auth: { ops: 'HASH' }, strip_path: true, caddy }
  expect(ruleRoutes({ path: '/x', rules }).at(-1)).toEqual({
    handle: [{ handler: 'rewrite', strip_path_prefix: '/x' }, ...caddy],
  })
})

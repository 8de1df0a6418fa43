import { describe, expect, test } from 'bun:test'
import { configTemplate } from '../../lib/cli/init/template/config-file.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import { templateInput, uncommented } from '../support/init.ts'

const written = (...args: Parameters<typeof templateInput>) => configTemplate(templateInput(...args))
const environments = (text: string) => parseConfig(text).environments

describe('configTemplate()', () => {
  test('its examples validate when they are uncommented', () => {
    const text = written({
      builds: true,
      composeFiles: ['compose.yaml', 'compose.override.yaml'],
      expose: { service: 'web', port: 3000, health: '/up' },
      databases: { db: './db' },
      folders: { './db': ['db'] },
      renewed: ['./certs', './a b'],
    })
    const local = {
      ...{ env_file: [], keep: 5, data: ['./db', './certs', './a b'] },
      services: {
        web: { expose: { host: ['www.example.com'], port: 3000, health: '/up' }, rollout: {} },
        db: { rollout: { strategy: 'hold' } },
      },
    }
    expect(parseConfig(uncommented(text))).toMatchObject({
      project: { name: 'shop', registry: 'ghcr.io/acme' },
      compose: ['compose.yaml'],
      environments: {
        local,
        prod: { ...local, env_file: ['.env.prod'], hosts: [{ written: 'deploy@server.example.com' }] },
      },
    })
    expect(Object.entries(environments(text))).toMatchObject([
      ['local', { data: ['./db'], services: { db: { rollout: { strategy: 'hold' } } } }],
    ])
  })

  test('says nothing of services where nothing is known', () => {
    const text = written()
    expect([text.includes('services:'), text.includes('data:'), text.includes('compose:')]).toEqual([
      false,
      false,
      false,
    ])
    expect(environments(uncommented(text))['prod']?.services).toEqual({})
  })

  test('comments `services:` out with its only service', () => {
    const text = written({ expose: { service: 'web', port: 80 } })
    expect(text).toContain('    # services:\n    #   web:\n    #     expose: {host: www.example.com, port: 80}\n')
    expect(environments(uncommented(text))['local']?.services['web']?.expose?.port).toBe(80)
  })

  test.each(['true', 'null', '1e3', '0x1', '-', 'a.b', 'On', '007'])(
    'quotes the name %p where YAML would not',
    (service) => {
      const found = { expose: { service, port: 80 }, databases: { [service]: 'x' } }
      const parsed = parseConfig(uncommented(written({ ...found, project: '007', hosts: ['a'] })))
      expect(parsed.project.name).toBe('007')
      expect(parsed.environments['prod']?.services[service]).toMatchObject({
        expose: { port: 80 },
        rollout: { strategy: 'hold' },
      })
    },
  )

  test('exposes with a domain, with a certificate of its own authority where no public one gives any', () => {
    const line = (domain: string) =>
      /expose: .*/.exec(written({ expose: { service: 'web', port: 80 }, domain, hosts: ['a'] }))?.[0]
    expect(line('shop.example.com')).toBe('expose: {host: shop.example.com, port: 80}')
    for (const name of ['shop.localhost', 'shop', 'a.home.arpa', '192.168.1.5'])
      expect(line(name)).toBe(`expose: {host: ${name}, port: 80, tls: internal}`)
  })

  test('places what keeps data on the first of several hosts', () => {
    const hosts = ['deploy@a', 'ssh://b:2222', '[::1]']
    const { prod } = environments(written({ hosts, keeping: ['db', 'files'], databases: { db: 'x' } }))
    expect(prod?.hosts?.map(({ written }) => written)).toEqual(hosts)
    expect(prod?.services).toMatchObject({
      db: { hosts: [{ written: 'deploy@a' }], rollout: { strategy: 'hold' } },
      files: { hosts: [{ written: 'deploy@a' }] },
    })
  })

  test('names an env file for the server if it replaces .env, and otherwise suggests it', () => {
    const envFile = { name: '.env.prod', missing: [], isSure: true }
    const files = (input: Parameters<typeof templateInput>[0]) =>
      environments(written({ hosts: ['a'], ...input }))['prod']?.env_file
    expect(files({ envFile })).toEqual(['.env.prod'])
    expect(files({ envFile: { ...envFile, isSure: false } })).toEqual([])
    const lacking = written({ hosts: ['a'], envFile: { ...envFile, missing: ['A', 'B', 'C', 'D'], isSure: false } })
    expect(lacking).toContain('# env_file: [.env, .env.prod]  # .env.prod has no A, B, C …: the later file wins\n')
    expect(environments(uncommented(lacking))['prod']?.env_file).toEqual(['.env', '.env.prod'])
  })

  test('foreign text stays within its comment', () => {
    const text = written({
      expose: { service: 'web', port: 80, data: './a\nx: y\u2028z', proxy: 'b' },
      databases: { db: 'the volume \u001b[31mred\r\nhosts: evil' },
      folders: { './a b: c # "d"': ['x'] },
      unclear: { './c\nd: e': ['y'] },
      hosts: ['a'],
    })
    expect(environments(text)['prod']).toMatchObject({
      data: ['./a b: c # "d"'],
      services: { db: { rollout: { strategy: 'hold' } } },
    })
    expect(text).not.toMatch(/^ *(x|b|d|hosts: evil)\b.*:/m)
  })
})

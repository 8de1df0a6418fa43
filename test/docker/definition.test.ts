import { describe, expect, test } from 'bun:test'
import { definitionOf, dependenciesOf } from '../../lib/docker/definition/container.ts'
import type { Surroundings } from '../../lib/docker/definition/surroundings.ts'
import { type Image, Json } from '../../lib/docker/inspect.ts'

const IMAGE: Image = {
  ...{ id: 'sha256:1', tags: [], digests: [], layers: [], platform: 'linux/amd64' },
  config: {
    Env: ['PATH=/bin', 'LANG=C'],
    Cmd: ['run'],
    Entrypoint: ['/entry'],
    Labels: { from: 'image' },
    Volumes: { '/data': {} },
  },
}
const ID = 'a'.repeat(64)
const VOLUME = 'b'.repeat(64)
const AROUND: Surroundings = {
  project: 'shop',
  services: new Map([['c'.repeat(64), 'db']]),
  isCarried: (_, path) => path === '/carried',
  keyOf: (_, name) => name.replace('shop_', ''),
}

type Parts = Readonly<Record<string, unknown>>
/** As its image and `docker compose up` make it, but for these parts. */
function definition(parts: { Config?: Parts; HostConfig?: Parts; Networks?: Parts; Mounts?: Parts[]; Name?: string }) {
  const config = { Env: ['PATH=/bin', 'LANG=C'], Cmd: ['run'], Entrypoint: ['/entry'], Hostname: ID.slice(0, 12) }
  const labels = { 'com.docker.compose.service': 'web', 'com.docker.compose.project': 'shop', from: 'image' }
  const json = new Json({
    ...{ Id: ID, Name: parts.Name ?? '/shop-web-1', Mounts: parts.Mounts ?? [] },
    Config: { ...config, Labels: labels, ...parts.Config },
    HostConfig: {
      NetworkMode: 'shop_default',
      IpcMode: 'private',
      CgroupnsMode: 'private',
      ShmSize: 67108864,
      ...parts.HostConfig,
    },
    NetworkSettings: {
      Networks: parts.Networks ?? { shop_default: { Aliases: ['shop-web-1', 'web', ID.slice(0, 12)] } },
    },
  })
  return definitionOf(json, IMAGE, AROUND)
}

describe('definitionOf()', () => {
  test('has nothing of what the image, the engine and Compose give by themselves', () => {
    expect(definition({})).toEqual({ service: { networks: { default: null } }, lost: [] })
  })

  test.each<[string, Parts, Parts]>([
    ['its own command', { Cmd: ['a b'] }, { command: ['a b'] }],
    ['its own entrypoint, which drops the image’s command', { Entrypoint: ['x'], Cmd: null }, { entrypoint: ['x'] }],
    ['both', { Entrypoint: ['x'], Cmd: ['y'] }, { entrypoint: ['x'], command: ['y'] }],
    ['no entrypoint', { Entrypoint: null, Cmd: ['y'] }, { entrypoint: [], command: ['y'] }],
    ['no command', { Cmd: null }, { entrypoint: ['/entry'] }],
    ['variables', { Env: ['PATH=/bin', 'LANG=de', 'A=b=c', 'E='] }, { environment: { LANG: 'de', A: 'b=c', E: '' } }],
    ['labels', { Labels: { from: 'other', 'com.docker.compose.service': 'web' } }, { labels: { from: 'other' } }],
    ['no healthcheck', { Healthcheck: { Test: ['NONE'] } }, { healthcheck: { disable: true } }],
    [
      'a healthcheck',
      { Healthcheck: { Test: ['CMD', 'x'], Interval: 1e9, Timeout: 15e8, StartPeriod: 1, Retries: 2 } },
      { healthcheck: { test: ['CMD', 'x'], interval: '1s', timeout: '1500ms', start_period: '1ns', retries: 2 } },
    ],
    ['how it ends', { StopSignal: 'SIGINT', StopTimeout: 0 }, { stop_signal: 'SIGINT', stop_grace_period: '0s' }],
    ['its host name', { Hostname: 'one' }, { hostname: 'one' }],
  ])('reads from Config %s', (_, Config, service) => {
    expect(definition({ Config })).toEqual({ service: { networks: { default: null }, ...service }, lost: [] })
  })

  test.each<[string, Parts, Parts]>([
    ['the host network', { NetworkMode: 'host' }, { network_mode: 'host' }],
    ['the network of a service', { NetworkMode: `container:${'c'.repeat(64)}` }, { network_mode: 'service:db' }],
    ['that of another container', { NetworkMode: 'container:x' }, { network_mode: 'container:x' }],
    ['the default bridge', { NetworkMode: 'default' }, { network_mode: 'bridge' }],
  ])('reads the network mode: %s', (_, HostConfig, service) => {
    expect(definition({ HostConfig })).toEqual({ service, lost: [] })
  })

  test('reads aliases, addresses, links, and which network is the first', () => {
    const Networks = {
      shop_default: { Aliases: ['web', 'shop-web-1', 'other'], Links: ['shop-db-1:database', 'shop-db-1:shop-db-1'] },
      shop_back: { Aliases: null, IPAMConfig: { IPv4Address: '10.1.2.3' } },
    }
    expect(definition({ Networks }).service).toEqual({
      networks: { default: { aliases: ['other'], priority: 1000 }, back: { ipv4_address: '10.1.2.3' } },
      external_links: ['shop-db-1:database'],
    })
  })

  test('reads ports, also of one address and without a port of the host', () => {
    const PortBindings = {
      '80/tcp': [
        { HostIp: '', HostPort: '8080' },
        { HostIp: '127.0.0.1', HostPort: '81' },
      ],
      '53/udp': [{ HostIp: '', HostPort: '' }],
    }
    const Config = { ExposedPorts: { '80/tcp': {}, '9000/tcp': {} } }
    expect(definition({ HostConfig: { PortBindings }, Config }).service).toMatchObject({
      ports: [
        { mode: 'ingress', target: 80, protocol: 'tcp', published: '8080' },
        { mode: 'ingress', target: 80, protocol: 'tcp', published: '81', host_ip: '127.0.0.1' },
        { mode: 'ingress', target: 53, protocol: 'udp' },
      ],
      expose: ['9000/tcp'],
    })
  })

  test('reads mounts: anonymous volumes stay, by their names where Compose would not carry them over', () => {
    const volume = (Name: string, Destination: string) => ({ Type: 'volume', Name, Destination, RW: true })
    const Mounts = [
      ...[volume('shop_files', '/files'), volume(VOLUME, '/data'), volume(VOLUME, '/carried'), volume(VOLUME, '/own')],
      { Type: 'bind', Source: '/srv/x', Destination: '/x', RW: false, Mode: 'ro,Z', Propagation: 'rslave' },
      { Type: 'tmpfs', Destination: '/t', RW: true },
      { Type: 'npipe', Destination: '/n' },
    ]
    const HostConfig = {
      Binds: ['/srv/x:/x:ro,Z'],
      Mounts: [
        { Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 5, Mode: 511 } },
        { Type: 'volume', Target: '/files', VolumeOptions: { NoCopy: true, Subpath: 'a' } },
      ],
      Tmpfs: { '/run': 'size=1k', '/tmp': '' },
    }
    expect(definition({ Mounts, HostConfig })).toEqual({
      service: {
        networks: { default: null },
        volumes: [
          { type: 'volume', target: '/carried' },
          { type: 'volume', source: 'files', target: '/files', volume: { nocopy: true, subpath: 'a' } },
          { type: 'volume', source: VOLUME, target: '/own' },
          { type: 'tmpfs', target: '/t', tmpfs: { size: '5', mode: 511 } },
          ...[
            {
              type: 'bind',
              source: '/srv/x',
              target: '/x',
              read_only: true,
              bind: { create_host_path: true, propagation: 'rslave', selinux: 'Z' },
            },
          ],
        ],
        tmpfs: ['/run:size=1k', '/tmp'],
      },
      lost: ['its mount at /n (npipe) is left out'],
    })
  })

  test('says what is lost', () => {
    const Config = { Env: ['PATH=/bin'], StdinOnce: true }
    const HostConfig = { BlkioWeight: 100, PublishAllPorts: true, VolumesFrom: ['x'], AutoRemove: true }
    expect(definition({ Config, HostConfig, Name: '/mine', Networks: { shop_default: {} } })).toEqual({
      service: { networks: { default: null }, container_name: 'mine' },
      lost: [
        "its image's variable LANG, which it does not have, comes back",
        '`docker run -P`: only the ports of its definition are published',
        '`volumes_from`: it gets the same volumes by their own names',
        'its setting BlkioWeight is left out',
        'its setting AutoRemove is left out',
        'it ends once its input has ended (docker run -i)',
      ],
    })
  })

  test('is not misled by what is of another kind', () => {
    const HostConfig = { Memory: 'x', Ulimits: 7, Sysctls: [1], CapAdd: { a: 1 }, PortBindings: 'no', Devices: [3] }
    expect(() =>
      definition({ Config: { Env: 5, Labels: null, Healthcheck: 'x' }, HostConfig, Mounts: [{ Type: 5 }] }),
    ).not.toThrow()
  })
})

test('dependenciesOf() reads the label of Compose, and nothing else', () => {
  const of = (label: unknown) =>
    dependenciesOf(new Json({ Config: { Labels: { 'com.docker.compose.depends_on': label } } }))
  expect(of('db:service_healthy:true,cache:service_started:false,odd,x:service_other:false')).toEqual({
    db: { condition: 'service_healthy', restart: true },
    cache: { condition: 'service_started' },
  })
  expect([of(''), of(undefined), of({})]).toEqual([{}, {}, {}])
})

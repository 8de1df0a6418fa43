import { expect, test } from 'bun:test'
import { publishArguments } from '../../lib/proxy/ports.ts'
import { deployed, HOST, newNeighbour, newRouted, write } from '../scenes/routed.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const OTHER = 'proxy: {http: 8080, https: 8443, bind: 100.64.0.1}'

test('publishArguments() publishes the ports of an address, with HTTP/3', () => {
  expect(publishArguments({ http: 80, https: 443 })).toEqual(['80:80', '443:443', '443:443/udp'])
  expect(publishArguments({ http: 8080, https: 8443, bind: 'fd7a::1' })).toEqual([
    '[fd7a::1]:8080:80',
    '[fd7a::1]:8443:443',
    '[fd7a::1]:8443:443/udp',
  ])
})

test('the proxy is published where stagecraft.yml says, and stays there if the setting is removed', async () => {
  const project = temporary(newRouted('ports', { environment: OTHER }))
  await deployed(project)
  const created = () =>
    project.engine.calls.map((argv) => argv.join(' ')).findLast((call) => call.startsWith('docker create '))
  expect(created()).toContain(
    '--publish 100.64.0.1:8080:80 --publish 100.64.0.1:8443:443 --publish 100.64.0.1:8443:443/udp',
  )
  const [box] = project.engine.proxy.host.boxes
  write(project, { web: 'web two' })
  await deployed(project)
  expect(project.engine.proxy.host.boxes).toEqual([box as never])
})

test('other ports recreate it, and the plan says so', async () => {
  const project = temporary(newRouted('ports'))
  await deployed(project)
  write(project, { environment: OTHER })
  expect((await project.plan()).proxy).toEqual({
    action: 'upgrade',
    why:
      'from ports 80 and 443 to ports 8080 and 8443 of 100.64.0.1: ' +
      'for about a second no route of any project on this host answers',
  })
  await deployed(project)
  expect(project.engine.proxy.answer(HOST)).toEqual(['web one'])
  expect((await project.plan()).proxy?.action).toBe('keep')
})

test('a host has one proxy: another project at other ports is refused before anything is changed', async () => {
  const project = temporary(newRouted('ports'))
  await deployed(project)
  const neighbour = temporary(newNeighbour(project, 'blog.test'))
  neighbour.write(
    'stagecraft.yml',
    `environments: {local: {${OTHER}, services: {web: {expose: {host: blog.test, port: 3000, tls: off}}}}}`,
  )
  const { boxes } = project.engine.proxy.host
  const { error } = await neighbour.deploy()
  expect([error?.kind, project.engine.proxy.host.boxes]).toEqual(['config', boxes])
  expect(error?.message).toBe(
    'Cannot move the proxy to ports 8080 and 8443 of 100.64.0.1: it routes the project shop at ports 80 and 443',
  )
})

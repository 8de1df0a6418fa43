import { expect, test } from 'bun:test'
import type { Route } from '../../lib/plan/routes/table.ts'
import { version } from '../../package.json'
import { deployed, HOST, write } from '../scenes/routed.ts'
import { ids, routedProjects } from '../scenes/routed-projects.ts'
import { told } from '../scenes/shop.ts'

const { serving } = routedProjects()

test('once a newer Stagecraft has set routes, a release that changes routes is refused, others work', async () => {
  const project = await serving({})
  const { volume } = project.engine.proxy.host
  expect(volume?.writer).toBe(version)
  const blog: Route = { service: 'web', hosts: ['blog.example.com'], path: '/', tls: 'off', ports: { a: 80, b: 80 } }
  Object.assign(volume ?? {}, { writer: '999.0.0', routes: { ...volume?.routes, blog: [blog] } })
  write(project, { web: 'web two' })
  await deployed(project)
  const before = [ids(project), volume?.generation]
  write(project, {
    web: 'web three',
    settings: { web: `{expose: {host: ${HOST}, port: 3000, tls: off, compress: true}}` },
  })
  project.engine.calls = []
  const error = told(await project.deploy())
  expect(project.engine.changes()).toEqual([]) // before anything is changed
  await expect(project.plan()).rejects.toMatchObject({ kind: 'config', message: expect.stringContaining('999.0.0') })
  expect(error).toContain(
    `Cannot change the routes of the proxy: Stagecraft 999.0.0 has set those of blog, and this is ${version}`,
  )
  expect(error).toContain('stagecraft upgrade')
  expect([ids(project), volume?.generation]).toEqual(before)
})

import { expect, test } from 'bun:test'
import { ids, now, runningApps } from '../scenes/running-app.ts'

const running = runningApps()

test('an application that ran before Stagecraft comes back after a run that died at any command', async () => {
  const project = await running({ web: { image: 'web:one', environment: { A: '1' } } })
  project.write('.stagecraft/empty', '')
  project.keep()
  const before = [ids(project), project.view()]
  now(project, { web: { image: 'web:bad', environment: { A: '2' } } })
  let died = 0
  for (let count = 1; await project.dieAt(count, 'all', () => project.deploy()); count++) {
    died++
    expect((await project.recover()).error).toBeUndefined()
    expect([count, ids(project), project.view()]).toEqual([count, ...before])
    project.comeBack()
  }
  expect(died).toBeGreaterThan(20)
})

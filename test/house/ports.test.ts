import { afterAll, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, PORT_CLAIMS } from '../support/engine.ts'

const IP = '127.0.0.9'
const ports: number[] = []

afterAll(() => {
  for (const port of ports) rmSync(join(PORT_CLAIMS, `${IP}-${port}`))
})

test('no two tests get the same port, also before anything listens on it', async () => {
  ports.push(...(await Promise.all(Array.from({ length: 400 }, () => freePort(IP)))))
  expect(new Set(ports).size).toBe(400)
})

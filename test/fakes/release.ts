import { createPrivateKey, type KeyObject } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { publicKeyOf } from '../../lib/cli/distribution/minisign.ts'
import { sealRelease } from '../../lib/cli/distribution/sums.ts'
import { scratch } from '../support/command-line.ts'

/** Two keys that sign nothing but what is in tests. */
export const KEY = testKey('11')
export const OTHER_KEY = testKey('22')
export const PUBLIC_KEY = publicKeyOf(KEY)
export const OTHER_PUBLIC_KEY = publicKeyOf(OTHER_KEY)

function testKey(byte: string): KeyObject {
  const der = Buffer.from(`302e020100300506032b657004220420${byte.repeat(32)}`, 'hex')
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

/** A program that says the version as Stagecraft does. */
export function fakeBinary(version: string): string {
  return `#!/bin/sh\necho "stagecraft ${version} (abc1234, bun-linux-x64)"\n`
}

/** A folder with the files of a release, whose binaries are `binary`, for all targets of Linux and macOS. */
export function fakeRelease(version: string, { key = KEY, binary = fakeBinary(version) } = {}) {
  const targets = ['linux-x64', 'linux-arm64', 'linux-x64-musl', 'linux-arm64-musl', 'darwin-x64', 'darwin-arm64']
  const folder = scratch(Object.fromEntries(targets.map((target) => [`stagecraft-${target}`, binary])))
  chmodSync(folder.path, 0o755)
  sealRelease(folder.path, { version, key })
  return folder
}

/** Serves a folder as a web server does. `cut`: files of this name end halfway. `encoded`: some servers say so of .gz files. */
export function serve(folder: string, { cut, encoded }: { cut?: (name: string) => boolean; encoded?: true } = {}) {
  const server = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      data(socket, data) {
        const name = /^GET \/([\w.-]+) /.exec(data.toString())?.[1] ?? ''
        const body = readIfThere(join(folder, name))
        if (body === undefined) {
          socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
          return
        }
        const encoding = encoded && name.endsWith('.gz') ? 'Content-Encoding: gzip\r\n' : ''
        const head = `HTTP/1.1 200 OK\r\n${encoding}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`
        const sent = cut?.(name) ? body.subarray(0, body.length / 2) : body
        socket.end(Buffer.concat([Buffer.from(head), sent]))
      },
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, remove: () => server.stop(true) }
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}

/** Changes a file of a release after it was signed. */
export function damage(folder: string, name: string): void {
  const bytes = readFileSync(join(folder, name))
  bytes[bytes.length - 9] = (bytes[bytes.length - 9] ?? 0) ^ 1
  writeFileSync(join(folder, name), bytes)
}

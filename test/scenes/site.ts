import { type App, page, writeApp, writePage } from '../e2e/app.ts'
import type { Engine } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { type HostName, host } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'

/** The value of an env variable: nothing may show it. */
export const SECRET = 'correct-horse-battery'

/** A project on a laptop whose environment `prod` is on a host. */
export class Site {
  readonly server: Engine
  readonly folder: Folder
  readonly address: string
  readonly root: string
  port = 0

  constructor(server: HostName, address: string, title: string, root = '/srv/stagecraft') {
    this.server = host(server)
    this.address = address
    this.root = root
    this.folder = laptop('h1').folder(title)
  }

  /** Where the host keeps what it keeps, as it finds it there. */
  get kept(): string {
    return `${this.root}/${this.folder.name}/prod`
  }

  async begin(): Promise<void> {
    this.port = await this.server.freePort()
    await this.server.exec(['sh', '-c', 'mkdir -p "$0" && chgrp docker "$0" && chmod 2770 "$0"', this.root])
    writePage(this.folder, 'version one')
    this.folder.write('conf/motd.txt', 'hello\n')
    this.folder.write('.env.prod', `PASSWORD=${SECRET}\n`)
    this.write()
  }

  app(more: Partial<App> = {}): App {
    return {
      project: { name: this.folder.name },
      environments: { prod: { hosts: [this.address], root: this.root, env_file: '.env.prod' } },
      services: {
        web: page(this.port, {
          environment: { PASSWORD: '${PASSWORD}' },
          volumes: ['./conf:/www/conf:ro', './uploads:/uploads'],
        }),
      },
      ...more,
    }
  }

  write(more: Partial<App> = {}): void {
    writeApp(this.folder, this.app(more))
  }

  /** What it answers: a container that has just started may need a moment to listen. */
  async page(path = '/'): Promise<string> {
    for (const latest = Date.now() + 60_000; ; await Bun.sleep(100)) {
      const { status, body } = await this.server.fetch(this.port, path)
      if (status !== 0 || Date.now() > latest) return body.trim()
    }
  }

  /** The containers of the environment, by service, with their ids. */
  async containers(): Promise<string[]> {
    const label = `label=com.docker.compose.project=${this.folder.name}-prod`
    const format = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    const { stdout } = await this.server.docker(['ps', '-a', '--filter', label, '--format', format])
    return stdout.split('\n').filter(Boolean).sort()
  }

  async cleanUp(): Promise<void> {
    await this.server.cleanUp(this.folder.name)
    await this.server.exec(['rm', '-rf', `${this.root}/${this.folder.name}`])
    await this.folder.cleanUp()
  }
}

import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Engine } from '../support/engine.ts'
import { host, LAB_DIR, LAB_NET, labHostCommand } from '../support/lab.ts'
import { serveFolder } from '../support/serve-folder.ts'
import { runCommand } from '../support/steps.ts'

const NAME = 'h7'

/**
 * A lab host as a provider hands it over: a new disk, no engine, no Compose, no group `docker`; its apt knows one archive,
 * served over HTTP from here, with the engine and Compose of the lab as packages.
 */
export class BareHost {
  readonly server: Engine = host(NAME)
  private readonly archive = mkdtempSync(join(tmpdir(), 'stagecraft-apt-'))
  private readonly web = serveFolder(this.archive, `${LAB_NET}.1`)

  async begin(): Promise<void> {
    const engine = readFileSync(join(LAB_DIR, 'hosts', NAME, 'engine'), 'utf8').trim()
    const tree = join(LAB_DIR, 'cache', engine)
    const plugins = 'usr/libexec/docker/cli-plugins'
    const add = (from: string) => (root: string) => cpSync(join(tree, from), join(root, from), { recursive: true })
    const packages = [
      await this.makePackage('docker.io', 'getent group docker >/dev/null || groupadd --system docker', (root) => {
        for (const folder of ['etc', 'usr']) add(folder)(root)
        rmSync(join(root, plugins), { recursive: true })
        // A host of the lab may not raise its limits, and what it mounts of cgroups is there for the whole machine: docker
        // stats of the other engines found none of their own any more.
        const init = join(root, 'etc/init.d/docker')
        const text = readFileSync(init, 'utf8').replaceAll(/^(\s*ulimit .*)$/gm, '$1 || :')
        writeFileSync(init, text.replace(/^\s*cgroupfs_mount$/m, ''), { mode: 0o755 })
      }),
      await this.makePackage('docker-compose', ':', add(plugins)),
    ]
    writeFileSync(join(this.archive, 'Packages'), packages.join('\n'))
    await labHostCommand('reset', NAME)
    await labHostCommand('hold', NAME, 'dockerd')
    const { code, stderr } = await this.server.exec(['sh', '-c', STRIP, this.web.url, NAME])
    if (code !== 0) throw new Error(`Cannot make ${NAME} bare: ${stderr}`)
    await this.reach()
  }

  /** After a reset its address has another network card, which takes a moment to get around. */
  private async reach(): Promise<void> {
    const isReached = async () => (await runCommand([join(LAB_DIR, 'bin/ssh'), NAME, 'true'])).code === 0
    for (let tries = 0; !(await isReached()); tries++) {
      if (tries === 120) throw new Error(`Cannot reach ${NAME}`)
      await Bun.sleep(500)
    }
  }

  /** Makes a Debian package of what `fill` puts into a folder. @returns its entry in the archive's index */
  private async makePackage(name: string, postinst: string, fill: (root: string) => void): Promise<string> {
    const root = join(this.archive, name)
    const fields = `Package: ${name}\nVersion: 1.0\nArchitecture: all\nMaintainer: lab <lab@example.com>\n`
    fill(root)
    mkdirSync(join(root, 'DEBIAN'))
    writeFileSync(join(root, 'DEBIAN/control'), `${fields}Description: of the lab\n`)
    writeFileSync(join(root, 'DEBIAN/postinst'), `#!/bin/sh\n${postinst}\n`, { mode: 0o755 })
    const file = `${root}.deb`
    const { code, output } = await runCommand(['dpkg-deb', '-Znone', '--root-owner-group', '--build', root, file])
    if (code !== 0) throw new Error(`Cannot make the package ${name}: ${output}`)
    const sum = createHash('sha256').update(readFileSync(file)).digest('hex')
    return `${fields}Filename: ./${name}.deb\nSize: ${statSync(file).size}\nSHA256: ${sum}\nDescription: of the lab\n`
  }

  /** Returns the host to the lab, as lab-up makes one with busybox alone. */
  async end(): Promise<void> {
    await this.web.stop()
    rmSync(this.archive, { recursive: true, force: true })
    await labHostCommand('reset', NAME)
    const [from, to] = ['h1', NAME].map((name) => `docker -H unix://${LAB_DIR}/hosts/${name}/run/docker.sock`)
    const env = { PATH: `${LAB_DIR}/bin:${process.env['PATH']}` }
    const { code, output } = await runCommand(['sh', '-c', `${from} save busybox:1 | ${to} load`], { env })
    if (code !== 0) throw new Error(`Cannot give ${NAME} its image back: ${output}`)
    await this.reach()
  }
}

// $0: the archive's address, $1: the host's name. Resources of the engine's containers are counted as the host's.
const STRIP = `set -eu
umount -l /opt/engine
rm -rf /run/docker.sock /run/docker.pid /usr/local/bin/docker /usr/local/lib/docker /etc/apt
sed -i /^docker:/d /etc/group
mkdir -p /etc/apt /etc/docker
echo "deb [trusted=yes] $0 ./" >/etc/apt/sources.list
echo "{\\"cgroup-parent\\": \\"/lab-$1\\"}" >/etc/docker/daemon.json
! command -v docker`

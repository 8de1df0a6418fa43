import { afterEach, beforeEach } from 'bun:test'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FakeProject } from '../fakes/project.ts'

/** Like cron's own: it keeps a file, and says so if there is none. The file `fail` names what fails: to read, or to write. */
export const CRONTAB = `#!/bin/sh
tab=$HOME/tab
case $1 in -l) what=read ;; *) what=write ;; esac
[ "$(cat "$HOME/fail" 2>/dev/null)" = $what ] && { echo 'no space left on device' >&2; exit 1; }
case $1 in
-l) if [ -e "$HOME/change" ]; then sh "$HOME/change"; fi
  [ -e "$tab" ] || { echo "no crontab for $(id -un)" >&2; exit 1; }
  cat "$tab" ;;
-r) rm "$tab" ;;
*) [ -z "$(tail -c 1 "$1")" ] || { echo 'missing newline before EOF' >&2; exit 1; }
  cat "$1" >"$tab.new" && mv "$tab.new" "$tab" ;;
esac
`

/** A home with programs of its own in place of a machine's. */
export function makeHome() {
  const folder = mkdtempSync(join(tmpdir(), 'stagecraft-cron-'))
  mkdirSync(join(folder, 'bin'))
  const program = (name: string, text: string) => {
    writeFileSync(join(folder, 'bin', name), text)
    chmodSync(join(folder, 'bin', name), 0o755)
  }
  program('crontab', CRONTAB)
  program('docker', '#!/bin/sh\n')
  const tab = join(folder, 'tab')
  return {
    ...{ folder, program },
    env: { PATH: `${join(folder, 'bin')}:${process.env['PATH']}`, HOME: folder, TMPDIR: folder },
    read: () => (existsSync(tab) ? readFileSync(tab, 'latin1') : undefined),
    write: (text: string | Buffer) => writeFileSync(tab, text),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** Gives this process a home with a cron that runs, until `remove`. */
export function openCron() {
  const home = makeHome()
  const before = { ...process.env }
  const program = join(home.folder, 'bin/cron')
  copyFileSync('/bin/sleep', program)
  const daemon = Bun.spawn([program, '600'])
  Object.assign(process.env, home.env)
  return {
    ...home,
    fail: (what: 'read' | 'write' | undefined) =>
      what ? writeFileSync(join(home.folder, 'fail'), what) : rmSync(join(home.folder, 'fail')),
    /** @returns schedule and container of each line that a release wrote */
    entries: () =>
      (home.read() ?? '').split('\n').flatMap((line) => {
        const [, schedule = '', id = '', service = ''] =
          /^(.*) d=.*; i=([0-9a-f]+);.*compose\.service=(\S+) .* # stagecraft /.exec(line) ?? []
        return id === '' ? [] : [{ service, schedule, id }]
      }),
    remove() {
      daemon.kill()
      for (const name of Object.keys(home.env)) process.env[name] = before[name] ?? ''
      home.remove()
    },
  }
}

/** For each test a cron that runs, and projects on an engine that has busybox. They are removed after it. */
export function withCron() {
  let cron: ReturnType<typeof openCron>
  const projects: FakeProject[] = []
  beforeEach(() => {
    cron = openCron()
  })
  afterEach(() => {
    cron.remove()
    for (const project of projects.splice(0)) project.remove()
  })
  return {
    get cron() {
      return cron
    },
    project(): FakeProject {
      const project = new FakeProject('schedules')
      projects.push(project)
      project.engine.registry = { 'busybox:1': 'busybox' }
      project.engine.addImage('busybox:1', 'busybox')
      return project
    },
  }
}

import { pad } from '../util/format.ts'
import { EXITS } from './exits.ts'

/** Commands whose help names a topic. */
export const TOPIC_OF: Readonly<Record<string, string>> = {
  deploy: 'first-deploy',
  rollback: 'rollbacks',
  'migrate plan': 'migrations',
  'migrate run': 'migrations',
  'migrate status': 'migrations',
  bootstrap: 'hosts',
  ssh: 'hosts',
  doctor: 'troubleshooting',
  status: 'troubleshooting',
  'proxy status': 'zero-downtime',
}

/** @returns the topic that a word means: its name, or the beginning of one topic alone; undefined: none */
export function findTopic(word: string): string | undefined {
  if (Object.hasOwn(TOPICS, word)) return TOPICS[word]
  const [only, ...others] = Object.keys(TOPICS).filter((topic) => word !== '' && topic.startsWith(word))
  return only === undefined || others.length > 0 ? undefined : TOPICS[only]
}

/** What `stagecraft help <topic>` prints, by topic: for a user without a browser at hand. At most 80 columns. */
export const TOPICS: Readonly<Record<string, string>> = {
  'first-deploy': `
Your first deploy

1. In the folder of your compose.yaml:

     stagecraft init          # writes stagecraft.yml; read it
     stagecraft doctor        # is everything there that a deploy needs?
     stagecraft plan          # what would happen, service by service, and why
     stagecraft deploy

2. To a server over SSH: name it, make it ready once, deploy.

     stagecraft init --host deploy@web-1.example.com --domain shop.example.com
     stagecraft bootstrap     # only for a bare server
     stagecraft deploy

3. Without downtime, and with a certificate: let the proxy answer.

     environments:
       prod:
         services:
           web:
             expose: {host: shop.example.com, port: 3000, health: /up}

If it fails, the previous release stays live. See: stagecraft help zero-downtime`,

  rollbacks: `
Rollbacks

     stagecraft rollback --dry-run     # what would it do?
     stagecraft rollback               # the release before the live one
     stagecraft rollback               # once more: further back
     stagecraft rollback --to-version v1.4.2
     stagecraft releases list          # which releases are there?

A rollback restores a release as it was: its Compose model, images, files and
env values. It builds nothing, and pulls nothing that the engine has. It takes
as long as the containers take to become ready.

It runs no migration, and no job unless \`job: {rollback: run}\` asks for it.
Databases keep what later releases did: the rollback lists it, and asks.
See: stagecraft help migrations`,

  'zero-downtime': `
Zero downtime

A service with \`expose\` is updated without downtime: new containers start
alongside the old ones, must become ready and answer through the proxy, get the
requests all at once, and the old ones finish theirs before they are removed.

     environments:
       prod:
         services:
           web:
             expose: {host: shop.example.com, port: 3000, health: /up}
             rollout: {health_timeout: 60s, drain_timeout: 30s}

\`stagecraft plan\` says of each service whether it rolls, or why it has downtime
and what would avoid it: a published port, a volume that two may not write to, a
container_name, a hook of Compose. All of a release switches, or none of it: if
one container does not become ready, the previous release stays.`,

  hosts: `
Hosts

     project: {name: shop}
     environments:
       prod:
         hosts: [deploy@web-1, deploy@web-2]
         services:
           db: {hosts: deploy@web-1}

Your ssh configuration applies: keys, agent, jump hosts, known_hosts. A host
needs Docker and a POSIX shell; \`stagecraft bootstrap\` prepares a bare Debian or
Ubuntu. Nothing of Stagecraft keeps running there but the proxy (Caddy, ports 80
and 443), once a service has \`expose\`.

The first host keeps the releases: any laptop or CI that may log in can deploy,
one at a time. A release switches on all hosts, or on none.

     stagecraft status --env prod      # what runs where
     stagecraft logs -f --env prod     # of all hosts
     stagecraft ssh --env prod         # a shell on the first one
     stagecraft tunnel db 5432 --env prod`,

  migrations: `
Migrations

     environments:
       prod:
         databases:
           main:
             migrations: {engine: command, service: web, command: bin/migrate}

They run with the new image, before any new container starts. If one fails, the
release stops and what was live stays. Engines: \`command\`, \`job\` (a service of
the Compose file that exists for this), \`raw\` (a folder of *.sql files).

     stagecraft migrate plan           # what is pending?
     stagecraft migrate status
     stagecraft migrate run            # now, outside a release

The live version meets the new schema while the migration runs, and again after
a rollback: add first, use it in the next release, remove in the one after that.`,

  troubleshooting: `
When something is wrong

     stagecraft status                 # what should run, and what runs
     stagecraft status --watch         # as it changes, with CPU and memory
     stagecraft logs web --since 10m   # what does it say?
     stagecraft releases show latest   # what became of the last release
     stagecraft logs --release latest  # last output of containers that are gone
     stagecraft exec web               # a shell in a container
     stagecraft doctor                 # what a deploy needs
     stagecraft proxy status           # routes and open requests
     stagecraft lock status            # is a run under way?

A run that was killed, or whose cable was cut: the next deploy, rollback or
prune undoes or finishes it, and says so. If in doubt, \`stagecraft deploy\`
again: it repairs what is not as released. In an emergency: stagecraft rollback`,

  'exit-codes': `
Exit codes

${exitLines()}

\`exec\`, \`run\` and \`ssh\` end with the exit code of their command.`,
}

function exitLines(): string {
  return EXITS.map(([code, meaning]) => ` ${pad(code, 5, 'right')}   ${meaning.replaceAll('`', '')}`).join('\n')
}

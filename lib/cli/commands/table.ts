import type { Table } from '../find-command.ts'

/** All commands. A command's code is loaded when it is called. */
export const COMMANDS: Table = {
  init: { summary: 'Set up a folder that has a Compose file', load: () => import('./init.ts') },
  plan: { summary: 'Show what a deploy would do, and why', load: () => import('./plan.ts') },
  build: { summary: 'Build the images of a version', load: () => import('./build.ts') },
  deploy: { summary: 'Release a version in an environment', load: () => import('./deploy.ts') },
  rollback: { summary: 'Restore an earlier release', load: () => import('./rollback.ts') },
  dev: { summary: 'Run the application here while you work on it', load: () => import('./dev.ts') },
  migrate: {
    summary: 'Migrate databases, or show what is pending',
    commands: {
      plan: { summary: 'Show what would be migrated now', load: () => import('./migrate-plan.ts') },
      run: { summary: 'Migrate now, outside a release', load: () => import('./migrate-run.ts') },
      status: { summary: 'Show what is applied and pending', load: () => import('./migrate-status.ts') },
    },
  },
  status: { summary: 'Show what should run and what runs', load: () => import('./status.ts') },
  logs: { summary: 'Show what containers print', load: () => import('./logs.ts') },
  exec: { summary: 'Run a command in a running container', load: () => import('./exec.ts') },
  run: { summary: 'Run a command in a new container', load: () => import('./run.ts') },
  job: {
    summary: 'Run a job that has a schedule',
    commands: { run: { summary: 'Run it now', load: () => import('./job-run.ts') } },
  },
  start: { summary: 'Start services that were stopped', load: () => import('./start.ts') },
  stop: { summary: 'Stop services, until they are started', load: () => import('./stop.ts') },
  restart: { summary: 'Restart services, one container at a time', load: () => import('./restart.ts') },
  scale: { summary: 'Set the number of replicas on a Swarm', load: () => import('./scale.ts') },
  tunnel: { summary: 'Reach a port of a service from here', load: () => import('./tunnel.ts') },
  ssh: { summary: 'Log in to a host', load: () => import('./ssh.ts') },
  down: { summary: 'Take an environment down', load: () => import('./down.ts') },
  doctor: { summary: 'Check everything that a deploy needs', load: () => import('./doctor.ts') },
  bootstrap: { summary: 'Prepare the hosts of an environment', load: () => import('./bootstrap.ts') },
  prune: { summary: 'Remove what no rollback needs', load: () => import('./prune.ts') },
  maintenance: {
    summary: 'Show a maintenance page (503) for a while',
    commands: {
      on: { summary: 'Show it, until `maintenance off`', load: () => import('./maintenance-on.ts') },
      off: { summary: 'End it', load: () => import('./maintenance-off.ts') },
    },
  },
  proxy: {
    summary: "Look at the host's proxy, or restart it",
    commands: {
      status: { summary: 'Show its routes, and the open requests', load: () => import('./proxy-status.ts') },
      logs: { summary: 'Show its log', load: () => import('./proxy-logs.ts') },
      restart: { summary: 'Recreate it, keeping routes and certificates', load: () => import('./proxy-restart.ts') },
    },
  },
  lock: {
    summary: 'See which run is under way, or freeze an environment',
    commands: {
      status: { summary: 'Show which run is under way, and who holds it', load: () => import('./lock-status.ts') },
      hold: { summary: 'Freeze it: no run begins until it is released', load: () => import('./lock-hold.ts') },
      release: { summary: 'End a hold', load: () => import('./lock-release.ts') },
    },
  },
  state: {
    summary: 'Change where the history of releases is kept',
    commands: {
      move: { summary: 'Move it here, from the folder or host that keeps it', load: () => import('./state-move.ts') },
    },
  },
  releases: {
    summary: 'Look at the releases',
    commands: {
      list: { summary: 'List them, the newest first', load: () => import('./releases-list.ts') },
      show: { summary: 'Show one, with its phases, images and error', load: () => import('./releases-show.ts') },
      diff: { summary: 'Compare two: services, images, env names, files', load: () => import('./releases-diff.ts') },
    },
  },
  upgrade: { summary: 'Replace this program by the published version', load: () => import('./upgrade.ts') },
  completion: { summary: 'Print a script that completes command lines', load: () => import('./completion.ts') },
}

import type { Table } from '../find-command.ts'

/** Every command there is. A command's code is loaded when it is called. */
export const COMMANDS: Table = {
  init: { summary: 'Make a project of a folder that has a Compose file', load: () => import('./init.ts') },
  plan: { summary: 'Show what a deploy would do, and why', load: () => import('./plan.ts') },
  build: { summary: 'Build the images of a version', load: () => import('./build.ts') },
  deploy: { summary: 'Put a version in an environment', load: () => import('./deploy.ts') },
  rollback: { summary: 'Put an earlier release back', load: () => import('./rollback.ts') },
  status: { summary: 'Show what should run and what runs', load: () => import('./status.ts') },
  doctor: { summary: 'Check everything that a deploy needs', load: () => import('./doctor.ts') },
  bootstrap: { summary: 'Make the hosts of an environment ready', load: () => import('./bootstrap.ts') },
  prune: { summary: 'Remove what no rollback needs', load: () => import('./prune.ts') },
  maintenance: {
    summary: 'Answer 503 with a page for a while',
    commands: {
      on: { summary: 'From now on, until it is ended', load: () => import('./maintenance-on.ts') },
      off: { summary: 'Answer as before', load: () => import('./maintenance-off.ts') },
    },
  },
  proxy: {
    summary: "Look at the host's proxy, or restart it",
    commands: {
      status: { summary: 'Show its routes, and what is on its way', load: () => import('./proxy-status.ts') },
      logs: { summary: 'Show what it says', load: () => import('./proxy-logs.ts') },
      restart: { summary: 'Make it anew, with its routes and certificates', load: () => import('./proxy-restart.ts') },
    },
  },
  lock: {
    summary: 'See who works on an environment, or freeze it',
    commands: {
      status: { summary: 'Say who is at work there, and who holds it', load: () => import('./lock-status.ts') },
      hold: { summary: 'Freeze it: nothing is changed until it is released', load: () => import('./lock-hold.ts') },
      release: { summary: 'End a hold', load: () => import('./lock-release.ts') },
    },
  },
  state: {
    summary: 'Say where the history of releases is kept',
    commands: {
      move: { summary: 'Bring it here, from the folder or host that kept it', load: () => import('./state-move.ts') },
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
}

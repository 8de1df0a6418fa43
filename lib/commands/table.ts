import type { Table } from '../find-command.ts'

/** Every command there is. A command's code is loaded when it is called. */
export const COMMANDS: Table = {
  init: { summary: 'Make a project of a folder that has a Compose file', load: () => import('./init.ts') },
  plan: { summary: 'Show what a deploy would do, and why', load: () => import('./plan.ts') },
  build: { summary: 'Build the images of a version', load: () => import('./build.ts') },
  deploy: { summary: 'Put a version in an environment', load: () => import('./deploy.ts') },
  rollback: { summary: 'Put an earlier release back', load: () => import('./rollback.ts') },
  prune: { summary: 'Remove what no rollback needs', load: () => import('./prune.ts') },
  releases: {
    summary: 'Look at the releases',
    commands: {
      list: { summary: 'List them, the newest first', load: () => import('./releases-list.ts') },
      show: { summary: 'Show one, with its phases, images and error', load: () => import('./releases-show.ts') },
      diff: { summary: 'Compare two: services, images, env names, files', load: () => import('./releases-diff.ts') },
    },
  },
}

import { powerCommand } from './power-command.ts'

export default powerCommand('start', 'Start services that were stopped, and wait until they are ready.', [
  ['stagecraft start --env prod', 'everything that was stopped'],
  ['stagecraft start worker --env prod', 'one service'],
])

import { powerCommand } from './power-command.ts'

export default powerCommand(
  'restart',
  'Restart services, one container at a time: the next one once the one before is ready.',
  [
    ['stagecraft restart --env prod', 'all services'],
    ['stagecraft restart worker --env prod', 'one service'],
  ],
)

import { powerCommand } from './power-command.ts'

export default powerCommand(
  'restart',
  'Restart services, one container after the other, each once the one before is ready.',
  [
    ['stagecraft restart --env prod', 'all services'],
    ['stagecraft restart worker --env prod', 'one service'],
  ],
)

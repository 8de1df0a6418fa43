import { powerCommand } from './power-command.ts'

export default powerCommand(
  'stop',
  'Stop services until they are started, or until the next deploy. Containers and data stay.',
  [
    ['stagecraft stop --env prod', 'all services'],
    ['stagecraft stop worker --env prod', 'one service; if it is routed, its route answers 502 until it is started'],
  ],
)

import type { Socket } from 'node:net'
import { DAY } from '../../util/duration.ts'
import type { Docker } from '../client.ts'
import { execIn } from '../lifecycle.ts'

/** Milliseconds: a connection may stay open for a day. */
const LIMIT = DAY

/**
 * Passes standard input and output to a host and port as seen from the container: with bash, which most images have, or with nc.
 * When the client closes its side so does the container's end, so that no session stays in the database.
 */
const RELAY = `
if command -v bash >/dev/null 2>&1; then
  exec bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit 1; cat <&3 & cat >&3; kill $! 2>/dev/null' "$1" "$2"
fi
if command -v nc >/dev/null 2>&1; then exec nc "$1" "$2"; fi
echo "neither bash nor nc is in this image" >&2; exit 127`

/**
 * Carries one connection to an address in a container's networks, with no port published and whatever the engine is reached
 * through.
 * @returns what the container said, if the connection failed
 */
export async function relay(
  docker: Docker,
  container: string,
  { host, port }: { readonly host: string; readonly port: number },
  socket: Socket,
): Promise<string> {
  const command = [container, 'sh', '-c', RELAY, 'stagecraft', host, String(port)]
  const how = { flags: { interactive: true }, inputFrom: socket, outputTo: socket, limit: 4096, timeout: LIMIT }
  const result = await execIn(docker, command, how)
  return result.code === 0 ? '' : result.stderr.trim()
}

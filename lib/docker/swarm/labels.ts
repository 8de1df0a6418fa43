/** The name of the label of all that `docker stack deploy` makes, nodes' containers and volumes too. */
export const STACK = 'com.docker.stack.namespace'

/** @returns the label of all that `docker stack deploy` makes for a stack */
export function ofStack(stack: string): string {
  return `${STACK}=${stack}`
}

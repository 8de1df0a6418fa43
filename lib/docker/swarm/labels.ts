/** @returns the label of all that `docker stack deploy` makes for a stack */
export function ofStack(stack: string): string {
  return `com.docker.stack.namespace=${stack}`
}

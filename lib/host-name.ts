/** How a host of an environment is reached, as `hosts:` in stagecraft.yml has it. */
export interface HostName {
  /** as it was written, for people */
  readonly written: string
  /** the user's name there; absent: what the ssh configuration says */
  readonly user?: string
  /** a name or address, or what the ssh configuration calls a host */
  readonly name: string
  readonly port?: number
  /** its address is what `tailscale status` says */
  readonly tailscale?: true
}

// What ssh takes for an option, or a shell for anything else, is not a name. In brackets: an IPv6 address.
const HOST =
  /^(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)@)?(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)|\[([0-9a-fA-F:.]+)\])(?::(\d{1,5}))?$/

/** @param text `[user@]name[:port]`, `ssh://[user@]name[:port]` or `tailscale:[user@]name` @returns undefined if it is none */
export function parseHostName(text: string): HostName | undefined {
  const tailscale = text.startsWith('tailscale:')
  const [, user, plain, bracketed, digits] = HOST.exec(text.replace(/^(ssh:\/\/|tailscale:)/, '')) ?? []
  const name = plain ?? bracketed
  const port = digits === undefined ? undefined : Number(digits)
  if (name === undefined || port === 0 || (port ?? 0) > 65535) return undefined
  return {
    written: text,
    name,
    ...(user === undefined ? {} : { user }),
    ...(port === undefined ? {} : { port }),
    ...(tailscale ? { tailscale } : {}),
  }
}

/** @returns a name for files: the same for all who reach a host by the same address, whatever their login there is called */
export function hostKey({ name, port }: HostName): string {
  return `${name.replaceAll(':', '_')}${port === undefined ? '' : `_${port}`}`
}

/** @returns what a person would type after `ssh`: `deploy@web-1`, `-p 2222 web-2` */
export function sshArguments({ user, name, port }: HostName): string[] {
  return [...(port === undefined ? [] : ['-p', String(port)]), user === undefined ? name : `${user}@${name}`]
}

/** The address of a host, as in `hosts:` of stagecraft.yml. In JSON it is the text that was written. */
export class HostAddress {
  constructor(
    /** as it was written, for people */
    readonly written: string,
    /** a name or address, or a host of the ssh configuration */
    readonly name = written,
    /** the user's name there; default: from the ssh configuration */
    readonly user?: string,
    readonly port?: number,
    /** its address comes from `tailscale status` */
    readonly tailscale?: true,
  ) {}

  toJSON(): string {
    return this.written
  }
}

// A name must not look like an option to ssh, or like anything special to a shell. In brackets: an IPv6 address.
const HOST =
  /^(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)@)?(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)|\[([0-9a-fA-F:.]+)\])(?::(\d{1,5}))?$/

/** @param text `[user@]name[:port]`, `ssh://[user@]name[:port]` or `tailscale:[user@]name` @returns undefined for any other text */
export function parseHostAddress(text: string): HostAddress | undefined {
  const [, user, plain, bracketed, digits] = HOST.exec(text.replace(/^(ssh:\/\/|tailscale:)/, '')) ?? []
  const name = plain ?? bracketed
  const port = digits === undefined ? undefined : Number(digits)
  if (name === undefined || port === 0 || (port ?? 0) > 65535) return undefined
  return new HostAddress(text, name, user, port, text.startsWith('tailscale:') ? true : undefined)
}

/** @returns a name for files: the same for every login at the same address */
export function hostKey({ name, port }: HostAddress): string {
  return `${name.replaceAll(':', '_')}${port === undefined ? '' : `_${port}`}`
}

/** @returns the arguments for `ssh`: `deploy@web-1`, `-p 2222 web-2` */
export function sshArguments({ user, name, port }: HostAddress): string[] {
  return [...(port === undefined ? [] : ['-p', String(port)]), user === undefined ? name : `${user}@${name}`]
}

/** What every exit code means, for `help exit-codes` and the man page. spec/core/cli.md and README.md have the same table. */
export const EXITS: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'done'],
  ['1', 'a bug in Stagecraft'],
  ['2', 'wrong usage, or a question that nobody could answer'],
  ['3', '`stagecraft.yml`, the Compose file or an env file is invalid'],
  ['4', 'no such environment, release, version, service or host'],
  ['5', 'it failed, or not all is well; the previous release is still live'],
  ['6', 'it failed, and the previous release could not be restored'],
  ['7', 'another run is under way, or somebody holds the environment'],
  ['8', 'a host, engine or registry cannot be reached, or a program is missing'],
  ['9', 'the state cannot be read or written, or the output cannot be written'],
  ['10', 'it failed after the switch; the new release is live'],
  ['11', '`plan --exit-code`: there is something to do'],
  ['141', 'the reader of the output has gone'],
  ['128+n', 'ended by signal n'],
]

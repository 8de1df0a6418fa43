import { Terminal } from '@xterm/headless'

/** A terminal that shows written text as a person would see it. */
export function openScreen(columns: number, rows: number) {
  const terminal = new Terminal({ cols: columns, rows, allowProposedApi: true, convertEol: true })
  let written = ''
  const buffer = () => terminal.buffer.active
  const lines = () => Array.from({ length: buffer().length }, (_, at) => buffer().getLine(at))
  return {
    write(text: string) {
      written += text
      terminal.write(text)
    },
    /** what has been written by now is on the screen */
    settled: () => new Promise<void>((resolve) => terminal.write('', resolve)),
    resize: (to: number, high: number) => terminal.resize(to, high),
    /** all lines from the first that was ever written, without empty ones at the end */
    text: () =>
      lines()
        .map((line) => line?.translateToString(true) ?? '')
        .join('\n')
        .trimEnd(),
    /** how many rows the terminal itself had to wrap */
    wrapped: () => lines().filter((line) => line?.isWrapped).length,
    cursor: () => ({ column: buffer().cursorX, row: buffer().baseY + buffer().cursorY }),
    isCursorHidden: () => written.lastIndexOf('\u001b[?25l') > written.lastIndexOf('\u001b[?25h'),
    written: () => written,
  }
}

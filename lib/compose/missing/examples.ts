import { existsSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'

/** @returns the example next to a file that people must write: `.env.example`, `app-sample.yml` … */
export function exampleOf(path: string): string | undefined {
  const ending = extname(path)
  const stem = path.slice(0, path.length - ending.length)
  const plain = join(dirname(path), basename(path).replace(/^\./, ''))
  const candidates = ['example', 'sample', 'dist', 'template'].flatMap((word) => [
    ...[`${path}.${word}`, `${stem}.${word}${ending}`, `${stem}-${word}${ending}`],
    ...(ending === '' ? [`${plain}.${word}`, join(dirname(path), `${word}${basename(path)}`)] : []),
  ])
  return candidates.find((candidate) => existsSync(candidate))
}

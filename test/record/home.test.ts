import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stateFile } from '../../lib/record/releases.ts'

let root = ''
beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'stagecraft-home-')))
})
afterEach(() => fs.rmSync(root, { recursive: true }))

function made(...folders: string[]): void {
  for (const folder of folders) fs.mkdirSync(join(root, folder), { recursive: true })
}

const link = (from: string, to: string) => fs.symlinkSync(to, join(root, from))
const home = (folder: string) => stateFile(join(root, folder)).replace(root, '').replace('/releases.json', '')

describe('stateFile() of a project whose releases have checkouts of their own', () => {
  test('is next to the link, in whichever checkout, through the link or not', () => {
    made('app/releases/1', 'app/releases/2')
    expect(home('app/releases/1')).toBe('/app/releases/1/.stagecraft')
    link('app/current', 'releases/1')
    const all = () => ['app/releases/1', 'app/releases/2', 'app/current'].map(home)
    expect(all()).toEqual(Array(3).fill('/app/.stagecraft'))
    fs.rmSync(join(root, 'app/current'))
    link('app/current', join(root, 'app/releases/2')) // absolute
    expect(all()).toEqual(Array(3).fill('/app/.stagecraft'))
  })

  test('also where the link is among the checkouts, has another name, or the project is a folder of the checkout', () => {
    made('a/v1', 'b/builds/7/deploy/prod')
    link('a/live', 'v1')
    link('b/latest', 'builds/7')
    expect([home('a/v1'), home('a/live')]).toEqual(['/a/.stagecraft', '/a/.stagecraft'])
    expect(home('b/latest/deploy/prod')).toBe('/b/.stagecraft/deploy/prod')
  })

  test('but a history that a checkout has stays its own', () => {
    made('app/releases/1/.stagecraft')
    link('app/current', 'releases/1')
    fs.writeFileSync(join(root, 'app/releases/1/.stagecraft/releases.json'), '{}')
    expect(home('app/current')).toBe('/app/current/.stagecraft')
  })

  test.each<[string, string, string]>([
    ['a link of a person to a project', 'shop', 'projects/shop'],
    ['a link that leads elsewhere', 'current', 'other/x'],
    ['a link that leads nowhere', 'current', 'projects/gone/deeper'],
    ['a link to the folder of them all', 'current', 'projects'],
  ])('is not taken for one: %s', (_, from, to) => {
    made('projects/shop', 'other/x')
    link(from, to)
    expect(home('projects/shop')).toBe('/projects/shop/.stagecraft')
  })

  test('is where --state says, whatever links there are', () => {
    made('app/releases/1')
    link('app/current', 'releases/1')
    expect(stateFile(join(root, 'app/current'), '/elsewhere/file')).toBe('/elsewhere/file')
  })
})

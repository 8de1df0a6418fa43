import { expect } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { FakeFleet, type Name } from '../fakes/fleet.ts'
import { told } from './shop.ts'

// An application on three hosts: routed, recreated, and data on one of them.

export const QUICK = '{rollout: {min_ready: 200ms}}'
const ROUTED = '{expose: {host: shop.example.com, port: 3000, tls: off}, rollout: {min_ready: 200ms}}'
const db: Service = { image: 'postgres:16', volumes: [{ type: 'volume', source: 'data', target: '/data' }] }
export const web = (version: number): Service => ({ image: `web:${version}`, healthcheck: { test: ['CMD', 'true'] } })
const cache = (size: string): Service => ({ image: 'redis:7', environment: { SIZE: size } })

const fleets: FakeFleet[] = []
/** For `afterEach` of each test file: one in this module would apply to the first file alone. */
export function removeFleets(): void {
  for (const fleet of fleets.splice(0)) fleet.remove()
}

/** A fleet that is removed after the test. */
export function newFleet(title: string): FakeFleet {
  const fleet = new FakeFleet(title)
  fleets.push(fleet)
  return fleet
}

/** Routed, recreated, and data on one host: version one is live on all. */
export async function serving(title: string): Promise<FakeFleet> {
  const fleet = newFleet(title)
  write(fleet, 1)
  expect(told(await fleet.project.deploy({ version: 'v1' }))).toBe('no error')
  return fleet
}

export function write(fleet: FakeFleet, version: number): void {
  fleet.write(
    { web: web(version), cache: cache(`${version}`), db },
    { web: ROUTED, cache: QUICK, db: '{hosts: [c], rollout: {min_ready: 200ms}}' },
  )
}

export const running = (fleet: FakeFleet, name: Name) => fleet.view(name).map((line) => line.replace(/ on .*/, ''))
export const OLD = ['cache of redis SIZE=1 running', 'web of web one running']
export const NEW = ['cache of redis SIZE=2 running', 'web of web two running']
const DB = 'db of postgres running'
export const of = (services: string[], name: Name) => (name === 'c' ? [...services, DB].toSorted() : services)

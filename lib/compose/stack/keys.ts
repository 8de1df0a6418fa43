/**
 * What Docker Swarm makes of the keys of a service (docker/cli, cli/compose/types and cli/compose/convert): `docker stack deploy` takes
 * these, and leaves out or refuses all others.
 */
export const TAKEN: ReadonlySet<string> = new Set(
  `cap_add cap_drop command configs credential_spec deploy dns dns_search entrypoint environment extra_hosts
  healthcheck hostname image init isolation labels logging networks ports read_only secrets stdin_open
  stop_grace_period stop_signal sysctls tmpfs tty ulimits user volumes working_dir`.split(/\s+/),
)

/** Keys that are turned into what Swarm has instead. */
export const TURNED: ReadonlySet<string> = new Set('cpus mem_limit mem_reservation pids_limit restart scale'.split(' '))

/** Keys that say nothing there: Stagecraft does what they ask for itself, or they have no effect in Compose either. */
export const IDLE: ReadonlySet<string> = new Set(
  'attach build depends_on develop env_file expose profiles pull_policy'.split(' '),
)

/** Keys without which the application would be another one, and what to do instead. */
export const NEEDED: Readonly<Record<string, string>> = {
  cgroup: 'Leave it out.',
  device_cgroup_rules: 'Run the service on a host of its own (an environment without `engine: swarm`).',
  devices: 'Run the service on a host of its own (an environment without `engine: swarm`).',
  external_links: 'Put both services on one overlay network, and use the name of the service.',
  gpus: 'Reserve `generic_resources` in `deploy.resources`, or run the service on a host of its own.',
  group_add: 'Set `user` with a group, or give the files to the group of the user in the image.',
  ipc: 'Leave it out: containers on different nodes share nothing.',
  links: 'Leave it out: services on one network find each other by their names, or by `aliases` of the network.',
  mac_address: 'Leave it out.',
  network_mode:
    'Leave it out: a service on a Swarm is on overlay networks. Publish a port with `mode: host` for the address of the node.',
  pid: 'Leave it out: containers on different nodes share nothing.',
  post_start: 'Do it in the command of the service.',
  pre_start: 'Make it a service of its own that others wait for with service_completed_successfully.',
  pre_stop: 'Do it in the command of the service, on its stop signal.',
  privileged: 'Use `cap_add`, or run the service on a host of its own (an environment without `engine: swarm`).',
  runtime: 'Make it the default runtime of the nodes, or run the service on a host of its own.',
  security_opt: 'Set it for all containers in the daemon.json of the nodes, and leave it out here.',
  userns_mode: 'Leave it out.',
  uts: 'Leave it out.',
  volumes_from: 'Mount the volume in both services.',
}

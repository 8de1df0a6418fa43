/** @returns the last part of an image's name, without registry, owner, tag and digest: `postgres` of `docker.io/library/postgres:17@sha256:…` */
export function imageName(image = ''): string {
  const [name = ''] = image.split('@')
  return (name.split('/').at(-1) ?? '').replace(/:.*$/, '').toLowerCase()
}

/** Databases, queues and stores: they keep data where they have a volume. Tools around them have longer names. */
export const DATABASE =
  /^(postgres|postgresql|postgis|pgvector|pgvecto-rs|timescaledb(-ha)?|mysql|mysql-server|mariadb(-galera)?|percona(-server)?|mongo|mongodb|mongodb-community-server|redis(-stack|-stack-server)?|valkey|keydb|dragonfly|elasticsearch|opensearch|clickhouse(-server)?|influxdb|couchdb|couchbase|cassandra|scylla|neo4j|minio|rabbitmq|kafka|cp-kafka|nats|meilisearch|typesense|qdrant|weaviate|milvus|etcd|zookeeper|cp-zookeeper|memcached|rethinkdb|arangodb|surrealdb|cockroach|questdb|victoria-metrics|solr|ldap|openldap|mssql|server-mssql|oracle-free|immich-postgres)$/

/** A proxy that stands in front of others. */
export const PROXY =
  /^(traefik|nginx-proxy|nginx-proxy-manager|caddy-docker-proxy|haproxy|swag|envoy|cloudflared|ngrok|acme-companion|docker-gen|letsencrypt-nginx-proxy-companion|certbot|authelia)$/

/** What is no website, or none for everybody: databases, brokers, tools to look into them, servers of other protocols. */
export const NO_WEBSITE = new RegExp(
  [
    DATABASE.source,
    /^(adminer|phpmyadmin|pgadmin4?|mongo-express|redis-commander|redisinsight|mailhog|mailpit|maildev|flower|dpage-pgadmin)$/
      .source,
    /^(pgbouncer|pgpool|watchtower|autoheal|docker-socket-proxy|promtail|fluentd|fluent-bit|vector|node-exporter|cadvisor|registry)$/
      .source,
    /^(minecraft-server|minecraft-bedrock-server|wireguard|wg-easy|openvpn|tailscale|coturn|mosquitto|emqx|postfix|docker-mailserver|unbound|bind9|coredns|samba|openssh-server|sftp|teamspeak|factorio|valheim-server)$/
      .source,
    /(-exporter|-backup|-worker|-operator)$/.source,
  ].join('|'),
)

/** Where web servers and applications listen that need not say so. */
export const WEB_PORTS: ReadonlyMap<string, number> = new Map([
  ...(
    ['nginx', 'httpd', 'caddy', 'wordpress', 'nextcloud', 'drupal', 'joomla', 'matomo', 'moodle', 'bookstack'] as const
  ).map((name) => [name, 80] as const),
  ['ghost', 2368],
  ['n8n', 5678],
  ['gitea', 3000],
  ['forgejo', 3000],
  ['grafana', 3000],
  ['mattermost-team-edition', 8065],
  ['jenkins', 8080],
  ['keycloak', 8080],
  ['metabase', 3000],
  ['vaultwarden', 80],
  ['immich-server', 2283],
  ['paperless-ngx', 8000],
  ['uptime-kuma', 3001],
  ['umami', 3000],
  ['plausible', 8000],
  ['odoo', 8069],
  ['redmine', 3000],
  ['freshrss', 80],
  ['outline', 3000],
])

const OTHER_PROTOCOLS = new Set(
  (
    '21 22 23 25 53 110 123 143 161 389 443 445 465 514 587 636 853 873 990 993 995 1194 1433 1521 1812 1883 1935 2049 2181 2222 2375 2376 2379 ' +
    '2380 3306 3389 3478 5060 5222 5269 5349 5432 5433 5671 5672 5683 6379 6380 6514 6667 7687 8443 8883 9042 9092 9093 9300 10022 11211 ' +
    '25565 25575 26379 27015 27016 27017 27018 28015 33060 50000 51820 61613 61616'
  )
    .split(' ')
    .map(Number),
)

/** @returns whether HTTP may be spoken there, as far as the number says: not TLS, which is the proxy's own */
export function isHttpPort(port: number): boolean {
  return !OTHER_PROTOCOLS.has(port)
}

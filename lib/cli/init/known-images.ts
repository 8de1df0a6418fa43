/** @returns the last part of an image's name: `postgres` for `docker.io/library/postgres:17@sha256:…` */
export function imageName(image = ''): string {
  const [name = ''] = image.split('@')
  return (name.split('/').at(-1) ?? '').replace(/:.*$/, '').toLowerCase()
}

/** Databases, queues and stores, which keep data if they have a volume. Tools for them have longer names. */
export const DATABASE =
  /^(postgres|postgresql|postgis|pgvector|pgvecto-rs|timescaledb(-ha)?|mysql|mysql-server|mariadb(-galera)?|percona(-server)?|mongo|mongodb|mongodb-community-server|redis(-stack|-stack-server)?|valkey|keydb|dragonfly|elasticsearch|opensearch|clickhouse(-server)?|influxdb|couchdb|couchbase|cassandra|scylla|neo4j|minio|rabbitmq|kafka|cp-kafka|nats|meilisearch|typesense|qdrant|weaviate|milvus|etcd|zookeeper|cp-zookeeper|memcached|rethinkdb|arangodb|surrealdb|cockroach|questdb|victoria-metrics|solr|ldap|openldap|mssql|server-mssql|oracle-free|immich-postgres|wazuh-indexer)$/

/** Where known databases keep their data, whatever the name of the image. */
export const DATABASE_PATH =
  /^(\/var\/lib\/(postgresql|mysql|mongodb|clickhouse|neo4j|redis|rabbitmq|cassandra|meilisearch|influxdb2?)|\/bitnami\/(postgresql|mariadb|mysql|mongodb|redis)|\/data\/db)(\/|$)/

/** A proxy in front of other services. */
export const PROXY =
  /^(traefik|nginx-proxy|nginx-proxy-manager|caddy-docker-proxy|haproxy|swag|envoy|cloudflared|ngrok|acme-companion|docker-gen|letsencrypt-nginx-proxy-companion|certbot|authelia)$/

/** Images without a public website: databases, brokers, tools for them, servers of other protocols. */
export const NO_WEBSITE = new RegExp(
  [
    DATABASE.source,
    /^(adminer|phpmyadmin|pgadmin4?|mongo-express|redis-commander|redisinsight|mailhog|mailpit|maildev|flower|dpage-pgadmin)$/
      .source,
    /^(pgbouncer|pgpool|watchtower|autoheal|docker-socket-proxy|promtail|fluentd|fluent-bit|vector|logstash|metricbeat|filebeat|azurite|redpanda|dovecot|node-exporter|cadvisor|registry)$/
      .source,
    /^(minecraft-server|minecraft-bedrock-server|wireguard|wg-easy|openvpn|tailscale|coturn|mosquitto|emqx|postfix|docker-mailserver|unbound|bind9|coredns|samba|openssh-server|sftp|teamspeak|factorio|valheim-server)$/
      .source,
    /(-exporter|-backup|-worker|-operator)$/.source,
  ].join('|'),
)

/** The default ports of known web servers and applications. */
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
    '21 22 23 25 53 110 123 143 161 389 443 445 465 514 587 636 853 873 990 993 995 1194 1433 1514 1515 1521 1812 1883 1935 2049 2181 2222 2375 2376 2379 ' +
    '2380 3306 3389 3478 5060 5222 5269 5349 4190 4317 5044 5432 5433 5671 5672 5683 6379 6380 6514 6667 7233 7687 8443 8883 9042 9092 9093 9094 9200 9300 10022 10050 10051 11211 ' +
    '19092 24224 25565 25575 26379 27015 27016 27017 27018 28015 29092 33060 50000 50051 51820 61613 61616'
  )
    .split(' ')
    .map(Number),
)

/** @returns whether a port may speak HTTP, judging by its number. Not TLS, which is the proxy's task */
export function isHttpPort(port: number): boolean {
  return isPort(port) && !OTHER_PROTOCOLS.has(port)
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= 65535
}

/** @returns whether an application itself speaks HTTPS there, in addition to HTTP on another port */
export function isTlsPort(port: number): boolean {
  return port === 443 || port === 8443
}

/* Every setting of every process, one row each; README and `--check-config` print this list.
 * INT rows: default, least, most. STR rows: default. An unknown GUILDHALL_* name is an error at start;
 * for every name X there is X_FILE, whose file's content (one trailing newline dropped) is the value.
 *
 *  INT(field, name, default, least, most, meaning)   STR(field, name, default, SECRET or PLAIN, meaning)
 */
/* -- database */
STR(db_url, "GUILDHALL_DB_URL", "", SECRET, "libpq connection string of the primary; of several hosts (host=a,b) the one that accepts writes")
STR(db_read_url, "GUILDHALL_DB_READ_URL", "", SECRET, "libpq connection string for reads; empty: the primary")
INT(db_readers, "GUILDHALL_DB_READERS", 8, 1, 64, "read connections of this process, and threads that use them")
/* -- where this process listens; empty: it does not */
STR(instance, "GUILDHALL_INSTANCE", "", PLAIN, "name of this copy in logs and on the bus; empty: service-pid")
STR(rpc_listen, "GUILDHALL_RPC_LISTEN", "", PLAIN, "nng address of this process's calls")
STR(pub_listen, "GUILDHALL_PUB_LISTEN", "", PLAIN, "nng address of this process's events")
STR(ops_listen, "GUILDHALL_OPS_LISTEN", "", PLAIN, "host:port of /healthz /readyz /metrics; empty: 127.0.0.1 and 9101 gateway, 9102 api, 9103 messaging, 9104 moderation, 9105 presence")
STR(http_listen, "GUILDHALL_HTTP_LISTEN", "127.0.0.1:8080", PLAIN, "api: host:port of REST")
STR(ws_listen, "GUILDHALL_WS_LISTEN", "127.0.0.1:8081", PLAIN, "gateway: host:port of client websockets")
/* -- peers: addresses separated by commas */
STR(rpc_api, "GUILDHALL_RPC_API", "", PLAIN, "nng addresses of api's calls")
STR(rpc_messaging, "GUILDHALL_RPC_MESSAGING", "", PLAIN, "nng addresses of messaging's calls")
STR(rpc_moderation, "GUILDHALL_RPC_MODERATION", "", PLAIN, "nng addresses of moderation's calls")
STR(rpc_presence, "GUILDHALL_RPC_PRESENCE", "", PLAIN, "nng addresses of presence's calls")
STR(pub_peers, "GUILDHALL_PUB_PEERS", "", PLAIN, "gateway, api: nng addresses of every publisher (api, messaging, moderation, presence)")
INT(bus_insecure, "GUILDHALL_BUS_INSECURE", 0, 0, 1, "1: plain tcp:// between processes is allowed off loopback")
/* -- http */
INT(http_workers, "GUILDHALL_HTTP_WORKERS", 256, 4, 4096, "api: worker threads; a keep-alive connection owns one")
INT(http_keepalive_ms, "GUILDHALL_HTTP_KEEPALIVE_MS", 10000, 0, 600000, "api: how long an idle connection is kept")
STR(trusted_proxies, "GUILDHALL_TRUSTED_PROXIES", "127.0.0.1,::1", PLAIN, "peers whose X-Forwarded-For is believed")
/* -- accounts */
INT(password_threads, "GUILDHALL_PASSWORD_THREADS", 2, 1, 64, "api: threads that do nothing but argon2id")
INT(session_days, "GUILDHALL_SESSION_DAYS", 90, 0, 3650, "api: life of a session in days, 0: no end")
/* -- crust */
STR(crust_team, "GUILDHALL_CRUST_TEAM", "", PLAIN, "moderation: the team that crust shows, by its id or slug; empty: the oldest")
INT(crust_session_days, "GUILDHALL_CRUST_SESSION_DAYS", 30, 0, 3650, "api: life of a session opened for crust in days, 0: no end")
STR(crust_jwt_secret, "GUILDHALL_CRUST_JWT_SECRET", "", SECRET, "api: tokens for crust are JSON web tokens (HS256) under this secret of 32 bytes or more; empty: opaque tokens")
STR(host_crust, "GUILDHALL_HOST_CRUST", "", PLAIN, "api: the host name at whose root crust lives, as its original does; empty: below /crust only")
/* -- limits, 0: off */
INT(limit_requests_per_s, "GUILDHALL_LIMIT_REQUESTS_PER_S", 50, 0, 1000000, "requests per token and second, and the burst")
INT(limit_posts_per_5s, "GUILDHALL_LIMIT_POSTS_PER_5S", 5, 0, 1000000, "posts per token and channel in 5 s")
INT(limit_logins_per_min, "GUILDHALL_LIMIT_LOGINS_PER_MIN", 30, 0, 1000000, "logins per address and minute")
INT(limit_guesses_per_min, "GUILDHALL_LIMIT_GUESSES_PER_MIN", 10, 0, 1000000, "logins per name, and password checks per account, a minute")
INT(limit_registrations_per_h, "GUILDHALL_LIMIT_REGISTRATIONS_PER_H", 60, 0, 1000000, "new accounts per address and hour")
INT(limit_strangers_per_s, "GUILDHALL_LIMIT_STRANGERS_PER_S", 20, 0, 1000000, "requests without a good token per address and second, and the burst")
/* -- gateway */
STR(ws_tls_cert, "GUILDHALL_WS_TLS_CERT", "", PLAIN, "PEM file of the certificate and its chain for client websockets; empty: plain, an edge does TLS")
STR(ws_tls_key, "GUILDHALL_WS_TLS_KEY", "", PLAIN, "PEM file of its key, without a passphrase; both are read again on SIGHUP")
INT(ws_tls_handshakes, "GUILDHALL_WS_TLS_HANDSHAKES", 1024, 1, 1000000, "connections of one loop that may be agreeing on TLS at once")
INT(gateway_loops, "GUILDHALL_GATEWAY_LOOPS", 0, 0, 256, "event loops; 0: one per core")
STR(ws_origins, "GUILDHALL_WS_ORIGINS", "", PLAIN, "gateway: origins of pages that may open a websocket, separated by commas; https://*.example: every host below; empty: any")
INT(ws_queue_bytes, "GUILDHALL_WS_QUEUE_BYTES", 262144, 16384, 67108864, "bytes waiting for one socket before it is closed as a slow reader")
INT(ws_queue_ms, "GUILDHALL_WS_QUEUE_MS", 5000, 100, 600000, "how long the first waiting byte may wait")
INT(ws_sndbuf_bytes, "GUILDHALL_WS_SNDBUF_BYTES", 131072, 4096, 16777216, "SO_SNDBUF of a client socket")
INT(ws_max_frame_bytes, "GUILDHALL_WS_MAX_FRAME_BYTES", 65536, 1024, 16777216, "largest message a client may send")
INT(ws_heartbeat_ms, "GUILDHALL_WS_HEARTBEAT_MS", 25000, 100, 600000, "pause between pings; two without an answer close")
INT(ws_handshake_ms, "GUILDHALL_WS_HANDSHAKE_MS", 5000, 100, 600000, "time for the whole upgrade request, and for TLS before it")
INT(ws_auth_ms, "GUILDHALL_WS_AUTH_MS", 10000, 100, 600000, "time for authentication, from the upgrade on")
INT(ws_ops_per_min, "GUILDHALL_WS_OPS_PER_MIN", 120, 0, 1000000, "client operations a minute and socket, 0: off")
INT(ws_max_sockets, "GUILDHALL_WS_MAX_SOCKETS", 0, 0, 10000000, "sockets of this process; 0: what nofile allows")
INT(ws_ring_stream_bytes, "GUILDHALL_WS_RING_STREAM_BYTES", 262144, 0, 1073741824, "gateway: recent events remembered of one stream and loop, for who comes back; 0: none")
INT(ws_ring_bytes, "GUILDHALL_WS_RING_BYTES", 33554432, 0, 4294967295, "gateway: recent events remembered of all streams; 0: none")
INT(ws_linger_ms, "GUILDHALL_WS_LINGER_MS", 60000, 1000, 3600000, "gateway: how long a stream is followed and remembered that its last socket has left")
INT(ws_sockets_per_address, "GUILDHALL_WS_SOCKETS_PER_ADDRESS", 1000, 0, 10000000, "sockets of one IPv4 address or IPv6 /64 that is no trusted proxy, 0: off")
INT(ws_sockets_per_account, "GUILDHALL_WS_SOCKETS_PER_ACCOUNT", 100, 0, 10000000, "authenticated sockets of one account, 0: off")
INT(ws_handshakes_per_s, "GUILDHALL_WS_HANDSHAKES_PER_S", 20000, 0, 1000000, "upgrades a second of this process, and the burst, 0: off")
INT(ws_handshakes_per_s_address, "GUILDHALL_WS_HANDSHAKES_PER_S_ADDRESS", 200, 0, 1000000, "upgrades a second of one address that is no trusted proxy, and the burst, 0: off")
INT(ws_queue_total_bytes, "GUILDHALL_WS_QUEUE_TOTAL_BYTES", 268435456, 0, 1099511627776, "bytes waiting for all sockets of this process before the slowest readers are closed, 0: off")
INT(ws_deflate, "GUILDHALL_WS_DEFLATE", 6, 0, 9, "compression of events for clients that ask for it (permessage-deflate): zlib's level, 0: off")
INT(ws_deflate_bytes, "GUILDHALL_WS_DEFLATE_BYTES", 128, 16, 1048576, "events shorter than this are not compressed")
INT(drain_ms, "GUILDHALL_DRAIN_MS", 5000, 0, 600000, "how long SIGTERM lets clients reconnect elsewhere")
/* -- log */
INT(log_retention_h, "GUILDHALL_LOG_RETENTION", 72, 1, 8760, "hours of events that can be resumed from")
INT(purge_after_days, "GUILDHALL_PURGE_AFTER", 30, 1, 3650, "days after which deleted rows are purged")
STR(log_level, "GUILDHALL_LOG_LEVEL", "info", PLAIN, "debug, info, warn or error")
STR(search_config, "GUILDHALL_SEARCH_CONFIG", "simple", PLAIN, "messaging: text search configuration of the database (simple, english, german, ...); another one makes the index anew")
/* -- webhooks */
STR(webhook_allow, "GUILDHALL_WEBHOOK_ALLOW", "", PLAIN, "messaging: addresses and networks beside the public net that outgoing webhooks may call, separated by commas")
INT(webhook_threads, "GUILDHALL_WEBHOOK_THREADS", 8, 1, 64, "messaging: outgoing webhooks asked at once")
INT(webhook_timeout_ms, "GUILDHALL_WEBHOOK_TIMEOUT_MS", 10000, 100, 30000, "messaging: time a receiver has to answer")
INT(webhook_retry_ms, "GUILDHALL_WEBHOOK_RETRY_MS", 2000, 10, 3600000, "messaging: pause before the second try; each further one is twice as long")
INT(limit_webhook_posts_per_5s, "GUILDHALL_LIMIT_WEBHOOK_POSTS_PER_5S", 10, 0, 1000000, "posts through one webhook in 5 s, 0: off")
/* -- guildhallctl */
STR(migrations, "GUILDHALL_MIGRATIONS", "", PLAIN, "guildhallctl: folder of the migration files; empty: the installed one, else ./migrations")
STR(token, "GUILDHALL_TOKEN", "", SECRET, "guildhallctl watch: the token to sign in with")
/* -- faults, for tests */
INT(fault_bus_drop_percent, "GUILDHALL_FAULT_BUS_DROP_PERCENT", 0, 0, 100, "share of received bus frames that are thrown away")

/*
 * db/log - reading the event log, and its upkeep: leaves, retention, requests, generation, node leases, job leases.
 */
#pragma once

#include "common/base/config.h"
#include "common/base/ids.h"
#include "common/db/db.h"
#include "common/events/events.h"
#include "proto/rpc.pb.h"

/* One statement: head and rows from one snapshot. complete if `after` is the head or the first row is after + 1,
 * else out->gone. limit <= 1000; fewer rows than there are come when they are large (2 MiB of payload). A generation in the
 * request that is not the log's, or a position beyond the head: gone. STATUS_BUSY: a standby that has not got as far as
 * `after` or `expect_head`; ask the primary. */
enum status log_fetch(struct db_conn *conn, struct arena *mem, const pb_FetchEventsRequest *rq, pb_FetchEventsReply *out);
enum status log_heads(struct db_conn *conn, struct arena *mem, const pb_StreamHeadsRequest *rq, pb_StreamHeadsReply *out);
/* For bus_publisher_options.watermark: in one statement the generation and the heads of streams that moved in the last 10 s
 * (whole) or 3 s. Nearly every event is there within a second: the whole window need not be read each time. */
enum status log_watermark(struct db_conn *conn, struct arena *mem, bool whole, const char **out_generation,
	struct logged_event **out_heads, size_t *out_count);
enum status log_generation(struct db_conn *conn, struct arena *mem, const char **out_generation);

/* After a restored backup: raises the counter in log.meta to a number that no earlier restore of the same backup can have come to,
 * and ends the other sessions of this role, so that every process meets the new generation. STATUS_INTERNAL: no such table, or
 * not allowed. */
struct log_renewed {
	const char *before, *after;
	int64_t sessions;
};
enum status log_renew_generation(struct db_conn *conn, struct arena *mem, struct log_renewed *out);

/* Handlers of the calls every owner answers: read on a pooled connection of `db`. */
struct rpc_call;
void log_serve_fetch_events(struct db *db, struct rpc_call *call, const pb_FetchEventsRequest *rq, pb_FetchEventsReply *reply);
void log_serve_stream_heads(struct db *db, struct rpc_call *call, const pb_StreamHeadsRequest *rq, pb_StreamHeadsReply *reply);

/* Upkeep thread of a process: makes leaves two days ahead (at start, before the first commit, and hourly), drops leaves past
 * the retention (DETACH CONCURRENTLY, then DROP, lock_timeout), purges log.requests past 24 h in chunks, renews the node lease.
 * Copies share the work through leases in log.jobs. */
struct log_upkeep;
enum status log_upkeep_start(const struct config *config, struct db *db, const char *instance, struct ids *ids, struct log_upkeep **out_upkeep);
bool log_upkeep_has_node(struct log_upkeep *upkeep); /* a node lease is held: for /readyz */
void log_upkeep_stop(struct log_upkeep *upkeep); /* gives the node lease back */
/* Leaves for [now - 1, now + days]; used by migrate and by tests too. */
enum status log_ensure_leaves(struct db_conn *conn, int days_ahead);
/* What upkeep does, one piece each: leaves past the retention (outside of a transaction); rows of log.requests past 24 h. */
enum status log_drop_leaves(struct db_conn *conn, int64_t retention_h, size_t *out_count);
enum status log_purge_requests(struct db_conn *conn, int64_t *out_count);

/* A job that only one copy does at a time: true while this holder has the lease (taken or renewed for life_ms). */
enum status job_lease(struct db_conn *conn, const char *name, const char *holder, int life_ms, bool *out_mine);
/* Gives it up, if it is this holder's: another may have it at once. */
enum status job_release(struct db_conn *conn, const char *name, const char *holder);

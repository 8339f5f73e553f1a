/*
 * rpc - calls between processes over nng req/rep (event design: section "RPC"). This folder hides nng.
 * A request on the wire is the owner's *Request message: field 1 the RpcHeader, then one arm of its oneof;
 * a reply is the owner's *Reply: field 1 the RpcResult, then the arm of the same number (absent unless OK).
 * The oneofs in proto/<owner>.proto are the only list of calls; stubs.h turns them into typed functions.
 */
#pragma once

#include <pb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/config.h"
#include "common/base/status.h"
#include "proto/rpc.pb.h"

/* One row of an owner's calls, derived from the oneof (stubs.h). */
struct rpc_method {
	uint32_t tag;
	const char *name;
	const pb_msgdesc_t *request, *reply;
	size_t request_size, reply_size;
};

/* Who calls, on whose behalf and until when. Borrowed by the call. */
struct rpc_context {
	const uint8_t *request_id; /* 16..32 bytes, or NULL on reading calls */
	size_t request_id_length;
	const uint8_t *body_hash;  /* 32 bytes or NULL */
	uint64_t actor_id, actor_epoch, session_id;
	uint64_t actor_generation; /* db_generation under which actor_epoch was read, or 0 */
	const pb_UserView *actor;  /* or NULL */
	const char *client_label;  /* or NULL */
	uint64_t served_team;      /* RpcHeader says what these are; kinds 0: no bounds */
	uint32_t served_kinds;
	const char *trace;         /* NULL: the thread's trace (log.h) */
	int64_t deadline_mono_ms;
	uint64_t pick;             /* not 0: the peer is chosen by rendezvous hash of it, else round robin */
	bool batch;                /* may share a message with others of its kind (batch.h); not for rpc_call_async */
	bool retry;                /* api only: repeat once on another peer when a peer did not answer in time
	                              or is gone (safe: same request id, or a read) */
	bool patient;              /* guildhallctl only: repeat on whatever peer there is until the deadline when a connection
	                              is lost (as safe); where nobody was reached at all the call fails as others do */
};

/* How a call ended; strings live in the caller's arena. */
struct rpc_outcome {
	enum status status;
	const char *why, *field, *detail; /* or NULL */
	uint32_t retry_after_ms;
	bool replayed;
};

/* ---- calling. One client per owner; thread-safe; many calls in flight (one nng context each, pooled).
 * One REQ socket per peer address, NNG_OPT_REQ_RESENDTIME infinite, RECVMAXSZ 4 MiB, reconnect 10..250 ms.
 * A client is also the owner's circuit breaker: after 5 failures in a row calls answer BUSY at once and one
 * call a second probes. Names that resolve to several addresses are several peers, resolved again every 5 s. */
struct rpc_client;
enum status rpc_client_create(const char *owner, const char *addresses, bool insecure, struct rpc_client **out_client);
void rpc_client_destroy(struct rpc_client *client);
bool rpc_client_up(const struct rpc_client *client); /* a peer is connected and the breaker is closed */
bool rpc_client_check(void *client, char *detail, size_t detail_size); /* the same, as a check of /readyz (common/ops/ops.h) */

/* Blocks until the answer or the deadline. The reply struct is zeroed first and filled only when the outcome is
 * STATUS_OK; what it points to lives in mem. Returns out->status. LATE/BUSY: no answer in time; whether it
 * happened is unknown to the caller, and repeating with the same request id is safe. */
enum status rpc_call(struct rpc_client *client, struct arena *mem, const struct rpc_context *ctx,
	const struct rpc_method *method, const void *request, void *reply, struct rpc_outcome *out);

/* The same without blocking. `done` runs on an nng thread, must not block, and gets an arena with the reply in it that it
 * takes (arena_destroy). ctx and request are not kept: the request is encoded before this returns. */
typedef void rpc_done(void *arg, struct arena *mem, enum status st, const void *reply, const struct rpc_outcome *outcome);
void rpc_call_async(struct rpc_client *client, const struct rpc_context *ctx, const struct rpc_method *method,
	const void *request, rpc_done *done, void *arg);

/* ---- serving */
struct rpc_call {
	struct arena *mem;             /* dies with the reply */
	const pb_RpcHeader *header;
	const struct rpc_method *method;
	int64_t deadline_mono_ms;
	int64_t began_mono_us;
	void *internal;
};

/* Runs on one of the server's worker threads and may block, or return early and finish later from any thread.
 * Exactly one rpc_finish or rpc_fail per call. reply is zeroed, reply_size big; pointers in it must live in call->mem.
 * While a handler runs, the thread's log trace is the call's. */
typedef void rpc_handler(void *service, struct rpc_call *call, const void *request, void *reply);

/* Is a channel of this team and kind there at all for who made the call? Owners ask it where they judge a channel, so that no
 * call of a dialect reaches one that it cannot show. */
static inline bool rpc_serves(const struct rpc_call *call, uint64_t team_id, uint32_t kind)
{
	const pb_RpcHeader *h = call->header;

	return h->served_kinds == 0 ||
	       (kind < 32 && (h->served_kinds >> kind & 1) != 0 && (team_id == 0 || team_id == h->served_team));
}

void rpc_finish(struct rpc_call *call);                       /* STATUS_OK with the reply */
void rpc_finish_replayed(struct rpc_call *call);              /* STATUS_OK, flagged as an earlier answer */
/* why, field and detail may be NULL; they are copied before this returns. */
void rpc_fail(struct rpc_call *call, enum status st, const char *why, const char *field, const char *detail);
void rpc_fail_retry(struct rpc_call *call, enum status st, const char *why, uint32_t retry_after_ms);

struct rpc_binding {
	const struct rpc_method *method;
	rpc_handler *handler;
};

struct rpc_server_options {
	const char *listen;      /* nng address; ipc:// sockets get mode 0600 in a 0700 directory, peer uid checked */
	const struct rpc_binding *bindings;
	size_t binding_count;
	void *service;
	int workers;             /* threads that run handlers */
	int contexts;            /* calls in flight, above it callers wait in nng; default 512 when 0 */
	int queue_limit;         /* calls waiting for a worker; above it BUSY at once; default 1024 when 0 */
	bool insecure;
};
struct rpc_server;
enum status rpc_server_start(const struct rpc_server_options *options, struct rpc_server **out_server);
/* From now on new calls get BUSY; returns when those in flight are answered or deadline_ms passed. */
void rpc_server_drain(struct rpc_server *server, int deadline_ms);
void rpc_server_stop(struct rpc_server *server);

/* Both answer "what is the address of my own", for tests and side by side copies. */
enum status rpc_address_check(const char *address, bool insecure); /* plain tcp:// off loopback: STATUS_FORBIDDEN, logged */

/*
 * deliveries - asks the receivers of outgoing webhooks and posts what they answer. A queue in PostgreSQL (messaging.webhook_deliveries):
 * a row is written with the call that causes it and claimed by a thread of whichever copy is free, under a lease; what fails for now is
 * tried again later, what fails for good is kept as given up. Whoever dies in between leaves a row whose lease ends.
 *
 * A receiver may thus be asked more than once for one delivery (they have an id); its answer is posted once.
 */
#pragma once

#include "common/db/committer.h"
#include "common/rpc/rpc.h"
#include "proto/messaging.pb.h"
#include "services/messaging/service.h"

#define DELIVERY_TRIES     8
#define DELIVERY_LIFE_S    86400
#define DELIVERY_AT_ONCE   2  /* of one webhook, so that one slow receiver leaves threads to the others */
#define DELIVERY_LEASE_S   30 /* beside the time that a receiver has: for the name, and for posting */
#define DELIVERY_ANSWER_MAX (64 * 1024)

struct deliveries;
/* STATUS_FIELD_INVALID: GUILDHALL_WEBHOOK_ALLOW is no list of networks (logged). */
enum status deliveries_start(struct service *s, struct deliveries **out_deliveries);
/* Nobody who is being asked is waited for: he is asked again; what waits, waits for another copy. NULL is fine, as for destroy, which comes when no call is
 * served any more. */
void deliveries_stop(struct deliveries *d);
void deliveries_destroy(struct deliveries *d);

/* For `work` of the call that causes it. */
enum status delivery_write(struct log_tx *tx, uint64_t id, uint64_t webhook_id, uint64_t asked_by, const char *input, const char *trace);

/* How it went with a delivery that somebody waits for. */
struct delivery_end {
	enum status status; /* OK: posted, or `waiting`; CONFLICT: given up, with why; else how the post was refused */
	const char *why;
	bool waiting; /* not now, but it will be tried again */
	const pb_MessageReply *posted; /* borrowed for the call */
};
/*
 * The delivery has been written: a thread takes it at once. `ended` runs once, on a thread of this or, when the time is over or nobody
 * is there to wait for, on the caller's; it must not block.
 */
void delivery_await(struct deliveries *d, uint64_t id, int64_t until_mono_ms, void (*ended)(void *arg, const struct delivery_end *end),
	void *arg);

/* Why it was given up, for people to read; why: as the row has it. */
const char *delivery_detail(const char *why);

/* ---- the pieces, for tests */

/* How long after try number `tries` (from 1) the next one begins: twice as long each time, at most an hour, and up to a fifth more.
 * random: any number. */
int64_t delivery_pause_ms(int64_t base_ms, int tries, uint32_t random);
/* The URL with every %s replaced. */
char *delivery_url(struct arena *mem, const char *url, const char *input);
/* v1=<hex of HMAC-SHA256>, over the timestamp, a dot and the body. */
#define DELIVERY_SIGNATURE_SIZE 68
void delivery_sign(const char *secret, int64_t timestamp_s, const char *body, size_t length, char out[DELIVERY_SIGNATURE_SIZE]);

/* What a receiver wants to be posted. */
struct delivery_answer {
	const char *text, *name, *avatar; /* name and avatar may be NULL */
};
/*
 * code, type and body as they came. OK; BUSY: it may go better later; CONFLICT: it never will. *out_why: a word, of
 * either. Strings in mem.
 */
enum status delivery_read(struct arena *mem, int code, const char *type, const char *body, size_t length,
	struct delivery_answer *out, const char **out_why);
/* Takes what is over: done for a day, given up before `before_ms` (wall). Gives how many. */
enum status deliveries_purge(struct db_conn *conn, struct arena *mem, int64_t before_ms, uint64_t *out_rows);

/*
 * delivery_try - one try of one delivery: it is claimed, its receiver asked, the answer posted, and the row says what became of it.
 * Inside of deliveries only. Everything of it lives in mem; any thread, one at a time.
 */
#pragma once

#include <semaphore.h>
#include <stdatomic.h>

#include "common/http/address.h"
#include "services/messaging/deliveries.h"
#include "services/messaging/webhook_posts.h"

#define DELIVERY_ACQUIRE_MS 2000 /* for a connection */

struct delivery_try {
	/* -- filled by the caller */
	struct service *service;
	struct arena *mem;
	const struct network *allowed; /* beside the public net */
	size_t allowed_count;
	const atomic_bool *stop; /* becomes true: whoever is asked is not waited for */
	void (*tell)(void *arg, uint64_t id, const struct delivery_end *end); /* once it is written down */
	void *arg;
	/* -- claimed */
	uint64_t id, webhook_id;
	const char *input, *trace;
	int tries;
	bool old;
	/* -- on the way */
	struct webhook webhook;
	pb_MessageReply posted;
	struct post_end end;
	sem_t ended;
};

/* The one that is due longest. *out_found false: none. What is claimed has to be attempted. */
enum status delivery_claim(struct delivery_try *t, bool *out_found);
void delivery_attempt(struct delivery_try *t);

/* A statement on a connection of its own. */
enum status delivery_run(struct service *s, struct arena *mem, const struct db_stmt *stmt, const struct db_params *params,
	struct db_rows *out_rows);

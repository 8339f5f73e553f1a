/*
 * people - what this owner knows of people, so that lists can name authors: messaging.people, filled from the
 * views in the envelopes of calls and by api's jobs. A table of fingerprints in memory keeps the hot path
 * away from the database: only a view that was not seen in this form before is written.
 */
#pragma once

#include "common/db/db.h"
#include "common/rpc/rpc.h"
#include "services/messaging/service.h"

struct people;
struct people *people_create(size_t slots);
void people_destroy(struct people *people);

/* The log is of this generation (db_generation; 0 says nothing). Another one than before: everybody is forgotten. */
void people_meet(struct people *people, uint64_t generation);
/* Nothing of the person changed since he was written from here? Any thread, never blocks. */
bool people_knows(const struct people *people, const pb_UserView *view);
/*
 * Sees to it that the table has the person as the view says; blocks for one statement when the view is new
 * here. STATUS_OK, or BUSY, INTERNAL of the database. An erased person stays erased, whatever an older
 * envelope says.
 */
enum status people_see(
	struct service *s, struct arena *mem, const pb_UserView *view, int64_t deadline_mono_ms);

void put_person(void *service, struct rpc_call *call, const void *request, void *reply);

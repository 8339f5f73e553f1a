#include "services/messaging/people.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "services/messaging/guard.h"

struct people {
	size_t count;
	_Atomic uint64_t generation; /* of the log under which they were seen; 0: not told yet */
	_Atomic uint64_t fingerprints[]; /* of (person, view), at a place that follows from the person's id */
};

struct people *people_create(size_t slots)
{
	struct people *people = calloc(1, sizeof *people + slots * sizeof *people->fingerprints);

	if (people != NULL)
		people->count = slots;
	return people;
}

void people_destroy(struct people *people)
{
	free(people);
}

#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t fnv_bytes(uint64_t hash, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * FNV_PRIME;
	return hash;
}

/* The NUL is hashed too and an absent text is not an empty one, so that no two views run together. */
static uint64_t fnv_text(uint64_t hash, const char *text)
{
	return text == NULL ? fnv_bytes(hash, "\1", 1) : fnv_bytes(hash, text, strlen(text) + 1);
}

static uint64_t fingerprint(const pb_UserView *view)
{
	unsigned char flags = (unsigned char)(view->bot | view->system << 1 | view->erased << 2);
	uint64_t hash = fnv_bytes(FNV_START, &view->id, sizeof view->id);

	hash = fnv_text(hash, view->username);
	hash = fnv_text(hash, view->display_name);
	hash = fnv_text(hash, view->avatar);
	hash = fnv_bytes(hash, &flags, 1);
	return hash != 0 ? hash : 1; /* 0 is an empty place */
}

static size_t place(const struct people *people, uint64_t id)
{
	return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 20) % people->count;
}

void people_meet(struct people *people, uint64_t generation)
{
	uint64_t before = atomic_load(&people->generation);

	if (generation == 0 || before == generation ||
		!atomic_compare_exchange_strong(&people->generation, &before, generation))
		return;
	/* What was written from here may be among what the log has lost. */
	for (size_t i = 0; before != 0 && i < people->count; i++)
		atomic_store_explicit(&people->fingerprints[i], 0, memory_order_relaxed);
}

bool people_knows(const struct people *people, const pb_UserView *view)
{
	return atomic_load_explicit(&people->fingerprints[place(people, view->id)], memory_order_relaxed) ==
	       fingerprint(view);
}

static const struct db_stmt put_stmt = {
	"messaging_person_put",
	"INSERT INTO messaging.people AS p (id, username, display_name, avatar, bot, system, erased, "
	"created_at_ms)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
	" ON CONFLICT (id) DO UPDATE SET username = EXCLUDED.username, display_name = EXCLUDED.display_name,"
	" avatar = EXCLUDED.avatar, bot = EXCLUDED.bot, system = EXCLUDED.system, erased = EXCLUDED.erased"
	" WHERE NOT p.erased AND (p.username, p.display_name, p.avatar, p.bot, p.system, p.erased) IS "
	"DISTINCT FROM"
	" (EXCLUDED.username, EXCLUDED.display_name, EXCLUDED.avatar, EXCLUDED.bot, EXCLUDED.system, "
	"EXCLUDED.erased)",
};

static enum status put(
	struct service *s, struct arena *mem, const pb_UserView *view, int64_t deadline_mono_ms)
{
	struct db_conn *conn = NULL;
	struct db_params params;
	bool named = !view->erased;

	enum status st = db_acquire(s->db, deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, mem);
	db_put_id(&params, view->id);
	db_put_text(&params, named ? view->username : NULL);
	db_put_text(&params, named ? view->display_name : NULL);
	db_put_text(&params, named ? view->avatar : NULL);
	db_put_bool(&params, view->bot);
	db_put_bool(&params, view->system);
	db_put_bool(&params, view->erased);
	db_put_id(&params, view->created_at_ms);
	st = db_query(conn, mem, &put_stmt, &params, NULL);
	/* Written to a log that everybody was forgotten of meanwhile, it is to be written again. */
	uint64_t met = atomic_load(&s->people->generation);
	bool here = met == 0 || met == db_generation(conn);
	db_release(conn);
	if (st == STATUS_OK && here)
		atomic_store_explicit(&s->people->fingerprints[place(s->people, view->id)], fingerprint(view),
			memory_order_relaxed);
	return st;
}

enum status people_see(
	struct service *s, struct arena *mem, const pb_UserView *view, int64_t deadline_mono_ms)
{
	return people_knows(s->people, view) ? STATUS_OK : put(s, mem, view, deadline_mono_ms);
}

void put_person(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_MessagingPersonRequest *rq = request;
	struct refusal no = {0};
	enum status st = STATUS_OK;

	if (call->header->actor_id != 0) {
		no.why = "system_only";
		st = STATUS_FORBIDDEN;
	} else if (!rq->has_user || rq->user.id == 0) {
		no.field = "user";
		st = STATUS_FIELD_INVALID;
	} else {
		/* Always written: another copy may have put an older envelope over what was written from
		 * here. */
		st = put(service, call->mem, &rq->user, call->deadline_mono_ms);
	}
	guard_answer(call, st, &no);
}

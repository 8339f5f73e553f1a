/*
 * presence - see presence.h. What was told is kept, so that it can be told again.
 */
#include "services/gateway/presence.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/events/events.h"
#include "services/gateway/memory.h"
#include "services/gateway/table.h"

#define GATHER_MS   250
#define RENEW_MS    4000 /* of the 5 s that presence expects */
#define SPREAD_MS   2000 /* over which gateways register again */
#define RETRY_MS    500
#define CALL_MS     2000
#define REPORT_MOST 2000 /* sockets in one call, and with them */
#define PLACES_MOST 200000 /* teams and conversations: well below the largest message */

enum told { TOLD_NOTHING, TOLD_OPENED, TOLD_OUTDATED };

/* One socket, as presence is to know it. */
struct record {
	struct record *next; /* of the waiting list */
	uint64_t socket_id;
	uint32_t dialect;
	enum told told;
	bool waiting, closed;
	size_t view_length, team_count, conversation_count;
	uint8_t *view;
	uint64_t *teams, *conversations;
};

struct presence {
	struct rpc_client *client;
	char *instance;
	uint64_t epoch, known_epoch; /* ours; presence's as last heard, 0: not yet */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct table records;
	struct record *waiting; /* those of which presence is to be told */
	bool stopping;
	int64_t renew_at_ms;
};

static void record_free(struct record *record)
{
	free(record->view);
	free(record->teams);
	free(record->conversations);
	free(record);
}

static void wait_to_be_told(struct presence *presence, struct record *record)
{
	if (record->waiting)
		return;
	record->waiting = true;
	record->next = presence->waiting;
	presence->waiting = record;
	pthread_cond_signal(&presence->changed);
}

static void *copied(const void *bytes, size_t length)
{
	void *copy = memory_resize(NULL, length + 1);

	if (length > 0)
		memcpy(copy, bytes, length);
	return copy;
}

void presence_opened(struct presence *presence, uint64_t socket_id, uint32_t dialect, const uint8_t *view,
	size_t view_length, const pb_TeamIdsOf *places)
{
	static const pb_TeamIdsOf nowhere = {0};

	if (places == NULL)
		places = &nowhere;
	pthread_mutex_lock(&presence->lock);
	struct record *record = table_get(&presence->records, socket_id);
	if (record == NULL) {
		record = memory_new(sizeof *record);
		record->socket_id = socket_id;
		table_put(&presence->records, socket_id, record);
	}
	record->dialect = dialect;
	free(record->view);
	record->view = copied(view, view_length);
	record->view_length = view_length;
	free(record->teams);
	record->teams = copied(places->team_ids, places->team_ids_count * sizeof *places->team_ids);
	record->team_count = places->team_ids_count;
	free(record->conversations);
	record->conversations =
		copied(places->conversation_ids, places->conversation_ids_count * sizeof *places->conversation_ids);
	record->conversation_count = places->conversation_ids_count;
	if (record->told == TOLD_OPENED)
		record->told = TOLD_OUTDATED;
	wait_to_be_told(presence, record);
	pthread_mutex_unlock(&presence->lock);
}

void presence_closed(struct presence *presence, uint64_t socket_id)
{
	pthread_mutex_lock(&presence->lock);
	struct record *record = table_get(&presence->records, socket_id);
	if (record != NULL) {
		record->closed = true;
		wait_to_be_told(presence, record);
	}
	pthread_mutex_unlock(&presence->lock);
}

/* ---- the thread */

static void record_write(struct arena *mem, const struct record *record, pb_SocketOpened *out)
{
	*out = (pb_SocketOpened){.socket_id = record->socket_id,
		.dialect = record->dialect,
		.team_ids_count = (pb_size_t)record->team_count,
		.conversation_ids_count = (pb_size_t)record->conversation_count};
	out->team_ids = arena_memdup(mem, record->teams, record->team_count * sizeof *record->teams);
	out->conversation_ids =
		arena_memdup(mem, record->conversations, record->conversation_count * sizeof *record->conversations);
	out->has_user = pb_decode_arena(mem, pb_UserView_fields, &out->user, record->view,
				record->view_length) == STATUS_OK;
}

/* One call. Returns false when it got no answer. */
static bool sync_call(
	struct presence *presence, struct arena *mem, pb_SyncSocketsRequest *request, bool *out_another_epoch)
{
	struct rpc_context ctx = {.deadline_mono_ms = clock_mono_ms() + CALL_MS};
	struct rpc_outcome outcome = {0};
	pb_SyncSocketsReply reply = {0};

	request->gateway = presence->instance;
	request->gateway_epoch = presence->epoch;
	request->known_epoch = presence->known_epoch;
	*out_another_epoch = false;
	if (presence_sync_sockets(presence->client, mem, &ctx, request, &reply, &outcome) != STATUS_OK)
		return false;
	presence->renew_at_ms = clock_mono_ms() + RENEW_MS;
	*out_another_epoch = reply.epoch != presence->known_epoch;
	presence->known_epoch = reply.epoch;
	return true;
}

/* Takes at most REPORT_MOST off the waiting list into the request. Lock held. */
static void gather(struct presence *presence, struct arena *mem, pb_SyncSocketsRequest *request)
{
	size_t count = 0, places = 0;

	request->opened = ARENA_ARRAY(mem, REPORT_MOST, pb_SocketOpened);
	request->changed = ARENA_ARRAY(mem, REPORT_MOST, pb_SocketOpened);
	request->closed = ARENA_ARRAY(mem, REPORT_MOST, uint64_t);
	for (; presence->waiting != NULL && count < REPORT_MOST && places < PLACES_MOST; count++) {
		struct record *record = presence->waiting;
		presence->waiting = record->next;
		record->waiting = false;
		places += record->team_count + record->conversation_count;
		if (record->closed) {
			if (record->told != TOLD_NOTHING)
				request->closed[request->closed_count++] = record->socket_id;
			table_remove(&presence->records, record->socket_id);
			record_free(record);
			continue;
		}
		record_write(mem, record,
			record->told == TOLD_NOTHING ? &request->opened[request->opened_count++]
						     : &request->changed[request->changed_count++]);
		record->told = TOLD_OPENED;
	}
}

/* Everything is to be told again: presence does not know any of it. Lock held. */
static void forget_what_was_told(struct presence *presence)
{
	struct record *record;
	size_t cursor = 0;

	while ((record = table_next(&presence->records, &cursor)) != NULL) {
		record->told = TOLD_NOTHING;
		wait_to_be_told(presence, record);
	}
}

/* Waits on the condition, at most until at_ms or until the process stops. Lock held. */
static void wait_until(struct presence *presence, int64_t at_ms, bool until_changed)
{
	while (!presence->stopping && clock_mono_ms() < at_ms &&
		!(until_changed && presence->waiting != NULL)) {
		struct timespec when = clock_timespec(at_ms);
		pthread_cond_timedwait(&presence->changed, &presence->lock, &when);
	}
}

static void *run(void *arg)
{
	struct presence *presence = arg;
	bool first_report = true;

	pthread_setname_np(pthread_self(), "presence");
	pthread_mutex_lock(&presence->lock);
	while (!presence->stopping) {
		wait_until(presence, presence->renew_at_ms, true);
		if (presence->waiting != NULL)
			wait_until(presence, clock_mono_ms() + GATHER_MS, false);
		if (presence->stopping)
			break;
		struct arena *mem = arena_create();
		pb_SyncSocketsRequest request = {.full = first_report};
		bool another_epoch = false;
		gather(presence, mem, &request);
		pthread_mutex_unlock(&presence->lock);
		bool answered = sync_call(presence, mem, &request, &another_epoch);
		arena_destroy(mem);
		pthread_mutex_lock(&presence->lock);
		if (!answered) {
			/* What it has heard of this is unknown: it is told everything again. */
			first_report = true;
			forget_what_was_told(presence);
			wait_until(presence, clock_mono_ms() + RETRY_MS, false);
		} else if (another_epoch && !first_report) {
			log_info("presence_started_anew", LOG_U64("sockets", presence->records.count));
			first_report = true;
			forget_what_was_told(presence);
			uint16_t random;
			ids_random_bytes(&random, sizeof random);
			wait_until(presence, clock_mono_ms() + random % SPREAD_MS, false);
		} else {
			first_report = false;
		}
	}
	pthread_mutex_unlock(&presence->lock);

	struct arena *mem = arena_create();
	pb_SyncSocketsRequest request = {.leaving = true};
	bool another_epoch = false;
	sync_call(presence, mem, &request, &another_epoch);
	arena_destroy(mem);
	return NULL;
}

enum status presence_create(struct rpc_client *client, const char *instance, struct presence **out_presence)
{
	struct presence *presence = memory_new(sizeof *presence);

	presence->client = client;
	presence->instance = memory_text(instance);
	ids_random_bytes(&presence->epoch, sizeof presence->epoch);
	pthread_mutex_init(&presence->lock, NULL);
	clock_cond_init(&presence->changed);
	if (pthread_create(&presence->thread, NULL, run, presence) != 0) {
		free(presence->instance);
		free(presence);
		return STATUS_INTERNAL;
	}
	*out_presence = presence;
	return STATUS_OK;
}

void presence_destroy(struct presence *presence)
{
	struct record *record;
	size_t cursor = 0;

	if (presence == NULL)
		return;
	pthread_mutex_lock(&presence->lock);
	presence->stopping = true;
	pthread_cond_signal(&presence->changed);
	pthread_mutex_unlock(&presence->lock);
	pthread_join(presence->thread, NULL);
	while ((record = table_next(&presence->records, &cursor)) != NULL)
		record_free(record);
	table_finish(&presence->records);
	pthread_cond_destroy(&presence->changed);
	pthread_mutex_destroy(&presence->lock);
	free(presence->instance);
	free(presence);
}

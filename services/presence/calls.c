/*
 * calls - what others ask of presence: one handler a call, and the two callbacks by which the tables speak. Handlers run on
 * worker threads; what only memory is needed for never waits for the database.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/db/log.h"
#include "common/rpc/stubs.h"
#include "services/presence/announce.h"
#include "services/presence/keeper.h"
#include "services/presence/people.h"
#include "services/presence/presence.h"
#include "services/presence/status.h"

#define READ_WAIT_MS 1000 /* get_presence without statuses beats one that comes late */

/* ---- the tables speak; under the service's lock */
static void on_changed(void *arg, const struct presence_change *change)
{
	struct presence *p = arg;

	announce_presence(p->publisher, change, clock_wall_ms());
}

static void on_remember(void *arg, uint64_t user_id, enum presence_state shown, int64_t last_seen_at_ms)
{
	struct presence *p = arg;

	keeper_remember(p->keeper, user_id, shown, last_seen_at_ms);
}

static void on_chose(void *arg, uint64_t user_id, enum presence_state chosen)
{
	struct presence *p = arg;

	keeper_chose(p->keeper, user_id, chosen);
}

static void on_active(void *arg, uint64_t user_id)
{
	struct presence *p = arg;

	keeper_active(p->keeper, user_id);
}

static void on_typing(void *arg, const struct typing_subject *subject, bool is_typing)
{
	struct presence *p = arg;

	announce_typing(p->publisher, subject, is_typing, clock_wall_ms());
}

void presence_init(struct presence *p)
{
	const struct sockets_callbacks callbacks = {on_changed, on_remember, on_chose, on_active, p};

	pthread_mutex_init(&p->lock, NULL);
	p->sockets = sockets_create(&callbacks, clock_mono_ms());
	p->typing = typing_create(on_typing, p);
}

void presence_finish(struct presence *p)
{
	typing_destroy(p->typing);
	sockets_destroy(p->sockets);
	pthread_mutex_destroy(&p->lock);
}

/* ---- sockets */
static void serve_sync_sockets(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;
	const pb_SyncSocketsRequest *rq = request;
	pb_SyncSocketsReply *rs = reply;
	uint64_t epoch = 0, one;
	bool unloaded;
	enum status st;

	pthread_mutex_lock(&p->lock);
	st = sockets_sync(p->sockets, rq, clock_mono_ms(), clock_wall_ms(), &epoch);
	unloaded = sockets_unloaded(p->sockets, &one, 1) > 0;
	pthread_mutex_unlock(&p->lock);
	if (st != STATUS_OK) {
		rpc_fail(call, st, NULL, "gateway", "the name of the gateway, at most 128 bytes");
		return;
	}
	if (unloaded)
		keeper_wake(p->keeper);
	rs->epoch = epoch;
	rpc_finish(call);
}

/* ---- presence */
static bool is_person(struct rpc_call *call)
{
	if (call->header->actor_id != 0 && call->header->has_actor)
		return true;
	rpc_fail(call, STATUS_FORBIDDEN, "only a person has a presence", NULL, NULL);
	return false;
}

/* True: memory knows. False right after a start as well, when the gateways have not registered again yet and what was
 * announced last is the better answer. */
static bool fill_now(struct presence *p, uint64_t user_id, bool own, pb_PresenceView *out)
{
	struct presence_now now;
	bool warm;

	pthread_mutex_lock(&p->lock);
	sockets_get(p->sockets, user_id, clock_wall_ms(), &now);
	warm = sockets_warm(p->sockets, clock_mono_ms());
	pthread_mutex_unlock(&p->lock);
	out->user_id = user_id;
	out->shown = now.shown;
	out->chosen = own && now.chosen_known ? now.chosen : 0;
	out->last_seen_at_ms = (uint64_t)now.last_seen_at_ms;
	return now.shown_known || warm;
}

static void fill_status(const struct person_status *status, int64_t now_wall_ms, pb_PresenceView *out)
{
	if (!person_status_set(status) || (status->expires_at_ms != 0 && status->expires_at_ms <= now_wall_ms))
		return;
	out->has_status = true;
	out->status.text = (char *)status->text;
	out->status.emoji = (char *)status->emoji;
	out->status.expires_at_ms = (uint64_t)status->expires_at_ms;
}

/* The encoded view of the caller, without what only the status row knows. */
static enum status encode_actor(struct rpc_call *call, const uint8_t **out_bytes, size_t *out_length)
{
	pb_UserView view = call->header->actor;

	view.has_status = false;
	return pb_encode_arena(call->mem, pb_UserView_fields, &view, out_bytes, out_length);
}

static void add_row(const struct person_row *row, bool known, bool own, int64_t now_wall_ms, pb_PresenceView *out)
{
	fill_status(&row->status, now_wall_ms, out);
	if (!known && row->announced != PRESENCE_OFFLINE) {
		out->shown = row->announced;
		out->last_seen_at_ms = (uint64_t)now_wall_ms;
	}
	if (out->last_seen_at_ms == 0)
		out->last_seen_at_ms = (uint64_t)row->last_seen_at_ms;
	if (own && out->chosen == 0)
		out->chosen = row->chosen;
}

/* Adds what only the database has to views that memory has filled. Without it the views stay as they are. */
static enum status add_stored(struct presence *p, struct rpc_call *call, pb_PresenceView *views, const bool *known,
	size_t count)
{
	int64_t now_wall_ms = clock_wall_ms(), until = clock_mono_ms() + READ_WAIT_MS;
	uint64_t *ids = ARENA_ARRAY(call->mem, count, uint64_t);
	struct db_conn *conn = NULL;
	struct person_row *rows = NULL;
	size_t row_count = 0;
	enum status st = db_acquire(p->db, until < call->deadline_mono_ms ? until : call->deadline_mono_ms, &conn);

	for (size_t i = 0; i < count; i++)
		ids[i] = views[i].user_id;
	if (st == STATUS_OK)
		st = people_read(conn, call->mem, ids, count, &rows, &row_count);
	db_release(conn);
	for (size_t i = 0; i < count; i++)
		views[i].status_unknown = st != STATUS_OK;
	for (size_t r = 0; r < row_count; r++)
		for (size_t i = 0; i < count; i++)
			if (views[i].user_id == rows[r].user_id)
				add_row(&rows[r], known[i], views[i].user_id == call->header->actor_id, now_wall_ms, &views[i]);
	for (size_t i = 0; i < count; i++)
		if (st == STATUS_OK && views[i].user_id == call->header->actor_id && views[i].chosen == 0)
			views[i].chosen = PRESENCE_ONLINE; /* nothing stored: never chose */
	return st;
}

static void serve_get_presence(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;
	const pb_GetPresenceRequest *rq = request;
	pb_GetPresenceReply *rs = reply;
	size_t count = rq->user_ids_count;
	bool known[PRESENCE_GET_MOST];

	if (count > PRESENCE_GET_MOST) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "user_ids", "at most 200");
		return;
	}
	rs->presences = ARENA_ARRAY(call->mem, count, pb_PresenceView);
	rs->presences_count = (pb_size_t)count;
	for (size_t i = 0; i < count; i++)
		known[i] = fill_now(p, rq->user_ids[i], rq->user_ids[i] == call->header->actor_id, &rs->presences[i]);
	if (count > 0)
		(void)add_stored(p, call, rs->presences, known, count); /* the views say status_unknown then */
	rpc_finish(call);
}

struct choice {
	uint64_t user_id;
	enum presence_state chosen;
};

/* Runs on the committer's thread. */
static enum status write_choice(struct log_tx *tx, void *arg)
{
	const struct choice *c = arg;

	return people_write_chosen(tx, c->user_id, c->chosen);
}

static void serve_set_presence(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;
	const pb_SetPresenceRequest *rq = request;
	pb_PresenceViewReply *rs = reply;
	struct choice choice = {.user_id = call->header->actor_id};
	struct commit_op op = {.work = write_choice, .arg = &choice};
	struct commit_result result = {0};
	const uint8_t *view = NULL;
	size_t view_length = 0;
	enum status st;

	if (!is_person(call))
		return;
	if (rq->chosen < PRESENCE_ONLINE || rq->chosen > PRESENCE_INVISIBLE) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "status", "online, idle, dnd or invisible");
		return;
	}
	choice.chosen = (enum presence_state)rq->chosen;
	st = encode_actor(call, &view, &view_length);
	if (st != STATUS_OK) {
		rpc_fail(call, st, NULL, NULL, NULL);
		return;
	}
	commit_op_from_call(&op, call);
	op.streams[0] = STREAM_USER(choice.user_id);
	op.stream_count = 1;
	st = committer_run(p->committer, call->mem, &op, &result);
	if (st != STATUS_OK) {
		rpc_fail(call, st, result.why, result.field, result.detail);
		return;
	}
	/* A repeat of an earlier call changes nothing: another choice may have come after it. */
	if (!result.replayed) {
		pthread_mutex_lock(&p->lock);
		sockets_choose(p->sockets, choice.user_id, choice.chosen, view, view_length, clock_wall_ms());
		pthread_mutex_unlock(&p->lock);
	}
	rs->has_presence = true;
	(void)fill_now(p, choice.user_id, true, &rs->presence);
	if (rs->presence.chosen == 0)
		rs->presence.chosen = choice.chosen;
	(void)add_stored(p, call, &rs->presence, &(bool){true}, 1); /* just chosen: memory knows, connected or not */
	if (result.replayed)
		rpc_finish_replayed(call);
	else
		rpc_finish(call);
}

/* ---- typing */
static void serve_set_typing(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;
	const pb_SetTypingRequest *rq = request;
	struct typing_subject subject = {.user_id = call->header->actor_id};
	enum status st;

	(void)reply;
	if (!is_person(call))
		return;
	if (!rq->has_channel || rq->channel.id == 0 || !rq->has_target || rq->target.audience == NULL ||
		rq->target.audience[0] == '\0' || strlen(rq->target.audience) >= AUDIENCE_SIZE) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "channel", "a channel and its audience");
		return;
	}
	subject.channel_id = rq->channel.id;
	subject.stream = (struct stream){rq->target.rank, rq->target.stream_id};
	strcpy(subject.audience, rq->target.audience); /* length checked above */
	st = encode_actor(call, &subject.view, &subject.view_length);
	if (st == STATUS_OK)
		st = pb_encode_arena(call->mem, pb_ChannelRef_fields, &rq->channel, &subject.channel,
			&subject.channel_length);
	if (st == STATUS_OK) {
		pthread_mutex_lock(&p->lock);
		st = typing_set(p->typing, &subject, rq->is_typing, clock_mono_ms());
		pthread_mutex_unlock(&p->lock);
	}
	if (st == STATUS_OK && rq->is_typing)
		keeper_active(p->keeper, subject.user_id);
	if (st == STATUS_OK)
		rpc_finish(call);
	else
		rpc_fail(call, st, NULL, NULL, NULL);
}

/* ---- activity */
static bool target_fits(const pb_Target *target)
{
	return target->audience != NULL && target->audience[0] != '\0' && strlen(target->audience) < AUDIENCE_SIZE;
}

static void serve_send_activity(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;
	const pb_SendActivityRequest *rq = request;
	const struct activity activity = {.user = &call->header->actor,
		.channel = rq->has_channel && rq->channel.id != 0 ? &rq->channel : NULL,
		.stream = {rq->target.rank, rq->target.stream_id},
		.audience = rq->target.audience,
		.kind = rq->kind,
		.message_id = rq->message_id};

	(void)reply;
	if (!is_person(call))
		return;
	if (!rq->has_target || !target_fits(&rq->target)) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "channel", "a channel or team and its audience");
		return;
	}
	size_t length = rq->kind == NULL ? 0 : strlen(rq->kind);
	if (length == 0 || length > 4 * ACTIVITY_KIND_MOST || !text_is_utf8(rq->kind, length) ||
		text_code_points(rq->kind, length) > ACTIVITY_KIND_MOST) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "kind", "1 to 64 characters");
		return;
	}
	pthread_mutex_lock(&p->lock);
	announce_activity(p->publisher, &activity, clock_wall_ms());
	pthread_mutex_unlock(&p->lock);
	keeper_active(p->keeper, call->header->actor_id);
	keeper_wake_jobs(p->keeper);
	rpc_finish(call);
}

static void serve_list_online(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;
	const pb_ListOnlineRequest *rq = request;
	pb_ListOnlineReply *rs = reply;
	size_t most = rq->limit == 0 || rq->limit > ONLINE_MOST ? ONLINE_MOST : rq->limit;
	uint64_t *ids = ARENA_ARRAY(call->mem, most, uint64_t);
	bool more = false;

	pthread_mutex_lock(&p->lock);
	size_t count = sockets_online(p->sockets, rq->team_id, rq->after, ids, most, &more);
	pthread_mutex_unlock(&p->lock);
	rs->presences = ARENA_ARRAY(call->mem, count, pb_PresenceView);
	rs->presences_count = (pb_size_t)count;
	rs->more = more;
	if (rq->ids_only) {
		for (size_t i = 0; i < count; i++)
			rs->presences[i] = (pb_PresenceView){.user_id = ids[i]};
		rpc_finish(call);
		return;
	}
	bool *known = ARENA_ARRAY(call->mem, count, bool);
	for (size_t i = 0; i < count; i++)
		known[i] = fill_now(p, ids[i], ids[i] == call->header->actor_id, &rs->presences[i]);
	if (count > 0)
		(void)add_stored(p, call, rs->presences, known, count); /* the views say status_unknown then */
	rpc_finish(call);
}

/* ---- statuses */
static const char *filled(const char *text)
{
	return text == NULL || text[0] == '\0' ? NULL : text;
}

static void change_status(struct presence *p, struct rpc_call *call, const struct person_status *status,
	const uint64_t *team_ids, size_t team_count, pb_PresenceViewReply *rs)
{
	struct commit_result result = {0};
	size_t kept = 0;
	uint64_t *teams;
	enum status st;

	if (team_count > PRESENCE_TEAMS_MOST) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "team_ids", "at most 1000");
		return;
	}
	teams = status_team_ids(call->mem, team_ids, team_count, &kept);
	st = status_change(p, call, status, teams, kept, &result);
	if (st != STATUS_OK) {
		rpc_fail(call, st, result.why, result.field, result.detail);
		return;
	}
	if (kept > CUSTOM_STATUS_TEAMS)
		keeper_wake_jobs(p->keeper);
	rs->has_presence = true;
	(void)fill_now(p, call->header->actor_id, true, &rs->presence);
	fill_status(status, clock_wall_ms(), &rs->presence);
	if (result.replayed)
		rpc_finish_replayed(call);
	else
		rpc_finish(call);
}

static void serve_set_status(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_SetStatusRequest *rq = request;
	const struct person_status status = {
		.text = filled(rq->text),
		.emoji = filled(rq->emoji),
		.expires_at_ms = (int64_t)rq->expires_at_ms,
		.clear_when_active = rq->clear_when_active,
	};
	const char *field = NULL, *detail = NULL;
	enum status st;

	if (!is_person(call))
		return;
	st = status_validate(&status, clock_wall_ms(), &field, &detail);
	if (st != STATUS_OK) {
		rpc_fail(call, st, NULL, field, detail);
		return;
	}
	change_status(service, call, &status, rq->team_ids, rq->team_ids_count, reply);
}

static void serve_clear_status(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ClearStatusRequest *rq = request;
	const struct person_status none = {0};

	if (is_person(call))
		change_status(service, call, &none, rq->team_ids, rq->team_ids_count, reply);
}

static void serve_forget_person(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;
	const pb_ForgetPersonRequest *rq = request;
	struct db_conn *conn = NULL;
	enum status st;

	(void)reply;
	if (call->header->actor_id != 0) {
		rpc_fail(call, STATUS_FORBIDDEN, "the system's call", NULL, NULL);
		return;
	}
	st = db_acquire(p->db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK)
		st = people_forget(conn, call->mem, rq->user_id);
	db_release(conn);
	if (st == STATUS_OK)
		rpc_finish(call);
	else
		rpc_fail(call, st, NULL, NULL, NULL);
}

/* ---- the log */
static void serve_fetch_events(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;

	log_serve_fetch_events(p->db, call, request, reply);
}

static void serve_stream_heads(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct presence *p = service;

	log_serve_stream_heads(p->db, call, request, reply);
}

#define BIND(name) {&rpc_presence_##name, serve_##name}
const struct rpc_binding *presence_bindings(size_t *out_count)
{
	static const struct rpc_binding bindings[] = {
		BIND(clear_status),
		BIND(fetch_events),
		BIND(forget_person),
		BIND(get_presence),
		BIND(list_online),
		BIND(send_activity),
		BIND(set_presence),
		BIND(set_status),
		BIND(set_typing),
		BIND(stream_heads),
		BIND(sync_sockets),
	};

	*out_count = sizeof bindings / sizeof *bindings;
	return bindings;
}

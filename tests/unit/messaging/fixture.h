/*
 * fixture - messaging as main.c wires it, on a database of the test's own, with a moderation that the test
 * plays: it judges by the epochs in the database and by the bits, keys and refusals that the test sets. Calls
 * go over ipc, as in life.
 *
 * Team 1000 has its stream and the users 5, 6 and 7 as members; the test is user 5 unless it says otherwise.
 */
#pragma once

#include <time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "services/messaging/calls.h"
#include "services/messaging/followup.h"
#include "services/messaging/people.h"
#include "services/messaging/rights.h"
#include "tests/lib/pg.h"
#include "tests/unit/main.h"

#define TEAM        UINT64_C(1000)
#define PATIENCE_MS 20000 /* nothing waits this long unless it is broken */
#define TELL(fx, setting)                                                                                    \
	do {                                                                                                 \
		pthread_mutex_lock(&(fx)->lock);                                                             \
		(fx)->setting;                                                                               \
		pthread_mutex_unlock(&(fx)->lock);                                                           \
	} while (0)
#define OWNED_ROLES ((struct bits){UINT64_MAX, UINT64_MAX})

/* One that moderation was asked to find or make. */
struct fake_conversation {
	uint64_t id, user_ids[50], created_by;
	size_t user_count;
	const char *avatar; /* everybody's */
};

struct fixture {
	char url[PG_URL_SIZE], directory[64], moderation_at[96], messaging_at[96];
	struct arena *mem;
	struct config config;
	struct ids ids;
	struct db *facts; /* moderation's */
	struct service service;
	struct rpc_server *moderation, *messaging;
	struct rpc_client *client;
	/* -- what moderation answers; under the lock, set with TELL */
	pthread_mutex_t lock;
	struct bits bits[8]; /* by user */
	_Atomic int judged;  /* how often it was asked */
	const char *why;
	bool hidden[8];    /* the user knows of no channel */
	uint64_t hidden_channel; /* only user 5 knows of it */
	int stale_answers; /* so many answers carry an epoch that is one too old */
	const char *open_audience;
	uint32_t hidden_kind; /* new channels of it have a key of their own */
	struct fake_conversation conversations[8]; /* ids from 9001 */
	size_t conversation_count;
	uint64_t role_of[8];     /* the one that the user holds; 0: none */
	uint64_t joined_seq[8];  /* where the user joined */
	uint32_t channel_role[8]; /* of the user in every channel */
	int stale_mentions;      /* so many answers about mentions have a stream's epoch that is too old */
	_Atomic int asked_mentions; /* how often it was asked who may be mentioned */
	uint64_t kicked;         /* once it has been asked, this user loses his place: his epoch is raised, he is hidden */
	/* -- how the next call goes out */
	uint64_t user, actor_epoch;
	uint64_t request;  /* grows with every call */
	bool same_request; /* the next call has the id of the one before */
	uint8_t body;      /* of what body_hash is made */
	struct rpc_outcome outcome;
};

/* ---- moderation */

static inline void fake_answer(struct fixture *fx, struct rpc_call *call, uint64_t user, uint64_t channel,
	uint64_t team, pb_Rights *out)
{
	static const struct db_stmt facts = {"fake_facts",
		"SELECT s.seq, s.authz_epoch, coalesce(m.epoch, 0), c.id, c.name, c.kind, c.private, "
		"c.archived_at_ms, c.deleted_at_ms"
		" FROM log.streams s LEFT JOIN moderation.members m ON m.team_id = s.id AND m.user_id = $2"
		" LEFT JOIN messaging.channel_facts c ON c.id = $3 WHERE s.rank = 1 AND s.id = $1"};
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};

	ck_assert_int_eq(db_acquire(fx->facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	db_params_begin(&params, call->mem);
	db_put_id(&params, TEAM);
	db_put_id(&params, user);
	db_put_id(&params, channel);
	ck_assert_int_eq(db_query(conn, call->mem, &facts, &params, &rows), STATUS_OK);
	uint64_t generation = db_generation(conn);
	db_release(conn);
	bool there = channel == 0 ? team == TEAM : !db_is_null(&rows, 0, 3);
	bool deleted = channel != 0 && !db_is_null(&rows, 0, 8), archived = channel != 0 && !db_is_null(&rows, 0, 7);
	*out = (pb_Rights){.team_id = TEAM, .channel_id = channel};
	if (!there || (user < 8 && fx->hidden[user]) ||
		(channel != 0 && channel == fx->hidden_channel && user != 5)) {
		out->status = STATUS_NOT_FOUND;
		return;
	}
	out->why = (char *)fx->why;
	out->has_bits = true;
	out->bits = (pb_Bits){fx->bits[user % 8].low, fx->bits[user % 8].high};
	if (archived || deleted) { /* what the evaluation leaves of the bits */
		static const enum permission archived_left[] = {PERMISSION_view_text, PERMISSION_read_history,
			PERMISSION_restore_channel, PERMISSION_delete_channel, PERMISSION_undelete_channel};
		struct bits left = {0};
		for (size_t i = deleted ? 4 : 0; i < sizeof archived_left / sizeof *archived_left; i++)
			left = bits_with(left, archived_left[i]);
		out->bits = (pb_Bits){out->bits.low & left.low, out->bits.high & left.high};
		out->why = (char *)(deleted ? "deleted" : "archived");
		out->status = deleted ? STATUS_NOT_FOUND : STATUS_OK;
	}
	out->rank = RANK_TEAM;
	out->stream_id = TEAM;
	out->as_of = db_id(&rows, 0, 0);
	out->stream_epoch = db_id(&rows, 0, 1) - (fx->stale_answers > 0 ? 1 : 0);
	if (fx->stale_answers > 0)
		fx->stale_answers--;
	out->member_epoch = db_id(&rows, 0, 2);
	out->generation = generation;
	out->member = true;
	if (user < 8) {
		out->joined_seq = fx->joined_seq[user];
		out->channel_role = fx->channel_role[user];
		out->role_ids_count = fx->role_of[user] != 0;
		out->role_ids = arena_memdup(call->mem, &fx->role_of[user], sizeof fx->role_of[user]);
	}
	if (channel == 0) {
		out->audience = arena_printf(call->mem, "team:%llu", (unsigned long long)TEAM);
		return;
	}
	out->has_channel = !deleted;
	out->channel = (pb_ChannelView){.id = channel,
		.team_id = TEAM,
		.name = arena_strdup(call->mem, db_text(&rows, 0, 4)),
		.kind = (uint32_t)db_i64(&rows, 0, 5),
		.private = db_bool(&rows, 0, 6),
		.archived_at_ms = db_id(&rows, 0, 7)};
	out->audience = out->channel.private
				? arena_printf(call->mem, "channel:%llu", (unsigned long long)channel)
				: arena_printf(call->mem, "team:%llu", (unsigned long long)TEAM);
	out->open_audience = (char *)fx->open_audience;
}

/* ---- conversations */

static inline struct fake_conversation *fake_conversation(struct fixture *fx, uint64_t id)
{
	for (size_t i = 0; i < fx->conversation_count; i++)
		if (fx->conversations[i].id == id)
			return &fx->conversations[i];
	return NULL;
}

static inline bool fake_is_in(const struct fake_conversation *c, uint64_t user)
{
	for (size_t i = 0; i < c->user_count; i++)
		if (c->user_ids[i] == user)
			return true;
	return false;
}

/* Not there until its row is. */
static inline void fake_conversation_rights(
	struct fixture *fx, struct rpc_call *call, const struct fake_conversation *c, uint64_t user, pb_Rights *out)
{
	const char *url = fx->url;
	bool there = pg_number(url, arena_printf(call->mem,
					   "SELECT count(*) FROM messaging.channels WHERE id = %lu AND deleted_at_ms IS NULL",
					   (unsigned long)c->id)) == 1;

	*out = (pb_Rights){.channel_id = c->id, .status = STATUS_NOT_FOUND};
	if (!there || !fake_is_in(c, user))
		return;
	*out = (pb_Rights){.channel_id = c->id,
		.has_bits = true,
		.bits = {fx->bits[user % 8].low, fx->bits[user % 8].high},
		.rank = RANK_TEAM,
		.stream_id = c->id,
		.stream_epoch = (uint64_t)pg_number(url, arena_printf(call->mem,
								 "SELECT authz_epoch FROM log.streams WHERE rank = 1 AND id = %lu",
								 (unsigned long)c->id)),
		.member_epoch = 1,
		.member = true,
		.has_channel = true,
		.channel = {.id = c->id, .kind = c->user_count == 2 ? CHANNEL_DIRECT : CHANNEL_GROUP, .name = (char *)""},
		.audience = arena_printf(call->mem, "conversation:%lu", (unsigned long)c->id)};
}

static inline pb_UserView *fake_people(struct rpc_call *call, const struct fake_conversation *c)
{
	pb_UserView *users = ARENA_ARRAY(call->mem, c->user_count, pb_UserView);

	for (size_t i = 0; i < c->user_count; i++)
		users[i] = (pb_UserView){.id = c->user_ids[i],
			.username = arena_printf(call->mem, "user%lu", (unsigned long)c->user_ids[i]),
			.avatar = (char *)c->avatar};
	return users;
}

static inline bool fake_same_people(
	const struct fake_conversation *c, uint64_t actor, const pb_ClaimConversationRequest *rq)
{
	bool same = c->user_count == (size_t)rq->users_count + 1 && fake_is_in(c, actor);

	for (size_t i = 0; i < rq->users_count && same; i++)
		same = fake_is_in(c, rq->users[i].id);
	return same;
}

/* The stream, the audience events' number and the epochs, as moderation leaves them. Under the lock. */
static inline struct fake_conversation *fake_made(
	struct fixture *fx, uint64_t actor, const pb_ClaimConversationRequest *rq)
{
	struct fake_conversation *c = &fx->conversations[fx->conversation_count];
	char sql[512];

	ck_assert_uint_lt(fx->conversation_count, 8);
	*c = (struct fake_conversation){.id = 9001 + fx->conversation_count++, .created_by = actor};
	c->user_ids[c->user_count++] = actor;
	for (size_t i = 0; i < rq->users_count; i++)
		c->user_ids[c->user_count++] = rq->users[i].id;
	snprintf(sql, sizeof sql, "INSERT INTO log.streams (rank, id) VALUES (1, %lu)", (unsigned long)c->id);
	pg_exec(fx->url, sql);
	for (size_t i = 0; i < c->user_count; i++) {
		snprintf(sql, sizeof sql,
			"INSERT INTO log.streams (rank, id) VALUES (2, %lu) ON CONFLICT DO NOTHING;"
			"INSERT INTO moderation.members (team_id, user_id, joined_at_ms, left_at_ms, epoch) VALUES (%lu, %lu, 1, 1, 1)",
			(unsigned long)c->user_ids[i], (unsigned long)c->id, (unsigned long)c->user_ids[i]);
		pg_exec(fx->url, sql);
	}
	return c;
}

static inline void fake_claim(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct fixture *fx = service;
	const pb_ClaimConversationRequest *rq = request;
	pb_ClaimConversationReply *out = reply;
	struct fake_conversation *c = NULL;

	pthread_mutex_lock(&fx->lock);
	for (size_t i = 0; i < fx->conversation_count && c == NULL; i++)
		if (fake_same_people(&fx->conversations[i], call->header->actor_id, rq))
			c = &fx->conversations[i];
	*out = (pb_ClaimConversationReply){.created = c == NULL};
	if (c == NULL)
		c = fake_made(fx, call->header->actor_id, rq);
	out->channel_id = c->id;
	out->kind = c->user_count == 2 ? CHANNEL_DIRECT : CHANNEL_GROUP;
	out->created_by = c->created_by;
	out->stream_epoch = (uint64_t)pg_number(fx->url,
		arena_printf(call->mem, "SELECT authz_epoch FROM log.streams WHERE rank = 1 AND id = %lu", (unsigned long)c->id));
	out->member_epoch = 1;
	out->users_count = (pb_size_t)c->user_count;
	out->users = fake_people(call, c);
	pthread_mutex_unlock(&fx->lock);
	rpc_finish(call);
}

static inline void fake_list_conversations(
	void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct fixture *fx = service;
	const pb_ConversationMembersRequest *rq = request;
	pb_ConversationMembersReply *out = reply;

	pthread_mutex_lock(&fx->lock);
	out->conversations = ARENA_ARRAY(call->mem, rq->channel_ids_count, pb_ConversationMembers);
	for (size_t i = 0; i < rq->channel_ids_count; i++) {
		const struct fake_conversation *c = fake_conversation(fx, rq->channel_ids[i]);
		if (c == NULL || !fake_is_in(c, call->header->actor_id))
			continue;
		out->conversations[out->conversations_count++] = (pb_ConversationMembers){
			.channel_id = c->id, .users_count = (pb_size_t)c->user_count, .users = fake_people(call, c)};
	}
	pthread_mutex_unlock(&fx->lock);
	rpc_finish(call);
}

static inline void fake_judge_conversations(
	struct fixture *fx, struct rpc_call *call, uint64_t user, pb_JudgeManyReply *out)
{
	pthread_mutex_lock(&fx->lock);
	out->rights = ARENA_ARRAY(call->mem, fx->conversation_count, pb_Rights);
	for (size_t i = 0; i < fx->conversation_count; i++) {
		pb_Rights *r = &out->rights[out->rights_count];
		fake_conversation_rights(fx, call, &fx->conversations[i], user, r);
		out->rights_count += r->status == STATUS_OK;
	}
	pthread_mutex_unlock(&fx->lock);
}

static inline void fake_rights(struct fixture *fx, struct rpc_call *call, uint64_t user, uint64_t channel,
	uint64_t team, pb_Rights *out)
{
	pthread_mutex_lock(&fx->lock);
	const struct fake_conversation *c = channel != 0 ? fake_conversation(fx, channel) : NULL;
	if (c != NULL)
		fake_conversation_rights(fx, call, c, user, out);
	else
		fake_answer(fx, call, user, channel, team, out);
	pthread_mutex_unlock(&fx->lock);
}

static inline void fake_judge(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct fixture *fx = service;
	const pb_JudgeRequest *rq = request;
	pb_JudgeReply *out = reply;

	atomic_fetch_add(&fx->judged, 1);
	out->has_rights = true;
	fake_rights(fx, call, rq->user_id, rq->channel_id, rq->team_id, &out->rights);
	pthread_mutex_lock(&fx->lock);
	out->rights.new_restricted = rq->channel_id == 0 && rq->new_kind != 0 && rq->new_kind == fx->hidden_kind;
	pthread_mutex_unlock(&fx->lock);
	rpc_finish(call);
}

static inline void fake_judge_many(void *service, struct rpc_call *call, const void *request, void *reply)
{
	static const struct db_stmt channels = {"fake_channels",
		"SELECT id FROM messaging.channel_facts WHERE team_id = $1 AND "
		"deleted_at_ms IS NULL ORDER BY id DESC"};
	struct fixture *fx = service;
	const pb_JudgeManyRequest *rq = request;
	pb_JudgeManyReply *out = reply;
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};

	if (rq->conversations) {
		fake_judge_conversations(fx, call, rq->user_id, out);
		rpc_finish(call);
		return;
	}
	ck_assert_int_eq(db_acquire(fx->facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	db_params_begin(&params, call->mem);
	db_put_id(&params, rq->team_id);
	ck_assert_int_eq(db_query(conn, call->mem, &channels, &params, &rows), STATUS_OK);
	db_release(conn);
	bool listed = rq->channel_ids_count > 0;
	out->rights_count = listed ? rq->channel_ids_count : (pb_size_t)rows.count;
	out->rights = ARENA_ARRAY(call->mem, out->rights_count, pb_Rights);
	for (int i = 0; i < out->rights_count; i++)
		fake_rights(fx, call, rq->user_id, listed ? rq->channel_ids[i] : db_id(&rows, i, 0), 0,
			&out->rights[i]);
	rpc_finish(call);
}

/* Users may view who are members and not hidden; roles from 16 to 19 exist, even ones may be mentioned by everybody;
 * channels may be viewed that are not private. */
static inline void fake_judge_mentions(
	void *service, struct rpc_call *call, const void *request, void *reply)
{
	static const struct db_stmt users = {"fake_mentioned_users",
		"SELECT s.authz_epoch, m.user_id, m.epoch FROM log.streams s LEFT JOIN moderation.members m ON m.team_id = s.id"
		" AND m.user_id = ANY ($2::int8[]) WHERE s.rank = 1 AND s.id = $1"};
	static const struct db_stmt channels = {"fake_mentioned_channels",
		"SELECT id, name, private, deleted_at_ms FROM messaging.channel_facts WHERE id = ANY ($1::int8[])"};
	static const struct db_stmt kick = {"fake_kick",
		"UPDATE moderation.members SET epoch = epoch + 1, left_at_ms = 1 WHERE team_id = $1 AND user_id = $2"};
	struct fixture *fx = service;
	const pb_JudgeMentionsRequest *rq = request;
	pb_JudgeMentionsReply *out = reply;
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0}, places = {0};

	atomic_fetch_add(&fx->asked_mentions, 1);
	ck_assert_int_eq(db_acquire(fx->facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	db_params_begin(&params, call->mem);
	db_put_id(&params, TEAM);
	db_put_ids(&params, rq->user_ids, rq->user_ids_count);
	ck_assert_int_eq(db_query(conn, call->mem, &users, &params, &rows), STATUS_OK);
	uint64_t *ids = ARENA_ARRAY(call->mem, (size_t)rq->channel_ids_count + 1, uint64_t);
	ids[0] = rq->channel_id;
	for (size_t i = 0; i < rq->channel_ids_count; i++)
		ids[i + 1] = rq->channel_ids[i];
	db_params_begin(&params, call->mem);
	db_put_ids(&params, ids, (size_t)rq->channel_ids_count + 1);
	ck_assert_int_eq(db_query(conn, call->mem, &channels, &params, &places), STATUS_OK);

	bool there = false;
	out->rank = RANK_TEAM;
	out->stream_id = TEAM;
	out->stream_epoch = db_id(&rows, 0, 0);
	out->channel_ids = ARENA_ARRAY(call->mem, (size_t)places.count, uint64_t);
	for (int i = 0; i < places.count; i++) {
		uint64_t id = db_id(&places, i, 0);
		if (id == rq->channel_id) {
			there = db_is_null(&places, i, 3);
			out->has_channel = true;
			out->channel = (pb_ChannelView){.id = id,
				.team_id = TEAM,
				.kind = CHANNEL_TEXT,
				.name = arena_strdup(call->mem, db_text(&places, i, 1)),
				.private = db_bool(&places, i, 2)};
		} else if (!db_bool(&places, i, 2)) {
			out->channel_ids[out->channel_ids_count++] = id;
		}
	}
	pthread_mutex_lock(&fx->lock);
	out->users = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_MentionableUser);
	for (int i = 0; i < rows.count; i++) {
		uint64_t user = db_id(&rows, i, 1);
		if (user != 0 && !(user < 8 && fx->hidden[user]))
			out->users[out->users_count++] = (pb_MentionableUser){user, db_id(&rows, i, 2)};
	}
	out->stream_epoch -= fx->stale_mentions > 0;
	if (fx->stale_mentions > 0)
		fx->stale_mentions--;
	uint64_t kicked = fx->kicked;
	fx->kicked = 0;
	if (kicked != 0) {
		fx->hidden[kicked] = true;
		db_params_begin(&params, call->mem);
		db_put_id(&params, TEAM);
		db_put_id(&params, kicked);
		ck_assert_int_eq(db_query(conn, call->mem, &kick, &params, NULL), STATUS_OK);
	}
	pthread_mutex_unlock(&fx->lock);
	db_release(conn);
	out->roles = ARENA_ARRAY(call->mem, rq->role_ids_count, pb_MentionableRole);
	for (size_t i = 0; i < rq->role_ids_count; i++)
		if (rq->role_ids[i] >= 16 && rq->role_ids[i] < 20)
			out->roles[out->roles_count++] =
				(pb_MentionableRole){rq->role_ids[i], rq->role_ids[i] % 2 == 0};
	if (there)
		rpc_finish(call);
	else
		rpc_fail(call, STATUS_NOT_FOUND, NULL, NULL, NULL);
}

static inline void fake_team_ids(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pb_TeamIdsReply *out = reply;

	out->team_ids = ARENA_ARRAY(call->mem, 1, uint64_t);
	out->team_ids[0] = TEAM;
	out->team_ids_count = 1;
	rpc_finish(call);
}

/* ---- wiring */

/* The first connection takes its time when the machine is busy; a call before it is answered "no peer". */
static inline void await_peer(const struct rpc_client *client)
{
	int64_t until = clock_mono_ms() + PATIENCE_MS;

	while (!rpc_client_up(client) && clock_mono_ms() < until)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* What a file of tests sets up besides, before the first thread that serves calls is there. */
static void (*fixture_prepare)(struct fixture *fx);

static inline void fixture_create(struct fixture *fx)
{
	static const struct rpc_binding moderation[] = {{&rpc_moderation_judge, fake_judge},
		{&rpc_moderation_judge_many, fake_judge_many},
		{&rpc_moderation_judge_mentions, fake_judge_mentions},
		{&rpc_moderation_list_team_ids, fake_team_ids},
		{&rpc_moderation_claim_conversation, fake_claim},
		{&rpc_moderation_list_conversations, fake_list_conversations}};
	struct service *s = &fx->service;

	*fx = (struct fixture){.mem = arena_create(), .user = 5};
	pthread_mutex_init(&fx->lock, NULL);
	log_init("test", LOG_ERROR);
	pg_database_create(fx->url);
	pg_exec(fx->url, "INSERT INTO log.streams (rank, id) VALUES (1, 1000), (2, 5), (2, 6), (2, 7);"
			 "INSERT INTO moderation.members (team_id, user_id, joined_at_ms) SELECT 1000, g, 1 "
			 "FROM generate_series(5, 7) g");
	for (size_t i = 0; i < 8; i++)
		fx->bits[i] = OWNED_ROLES;
	snprintf(fx->directory, sizeof fx->directory, "/tmp/guildhall-messaging-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fx->directory));
	snprintf(fx->moderation_at, sizeof fx->moderation_at, "ipc://%s/moderation", fx->directory);
	snprintf(fx->messaging_at, sizeof fx->messaging_at, "ipc://%s/messaging", fx->directory);
	ck_assert_int_eq(db_open(&(struct db_options){.url = fx->url, .service = "test", .connections = 4},
				 &fx->facts),
		STATUS_OK);
	ck_assert_int_eq(rpc_server_start(&(struct rpc_server_options){.listen = fx->moderation_at,
						  .bindings = moderation,
						  .binding_count = sizeof moderation / sizeof *moderation,
						  .service = fx,
						  .workers = 4},
				 &fx->moderation),
		STATUS_OK);
	fx->config = (struct config){
		.db_url = fx->url, .db_readers = 4, .log_retention_h = 72, .purge_after_days = 30, .search_config = "simple"};
	ids_init(&fx->ids);
	ids_lease(&fx->ids, 1, clock_wall_ms(), INT64_MAX);
	*s = (struct service){.config = &fx->config, .instance = "test", .ids = &fx->ids};
	ck_assert_int_eq(
		db_open(
			&(struct db_options){
				.url = fx->url, .service = "test", .connections = 8, .generic_plans = true},
			&s->db),
		STATUS_OK);
	s->reads = s->db;
	ck_assert_int_eq(
		committer_create(
			&(struct committer_options){.config = &fx->config, .service = "test"}, &s->committer),
		STATUS_OK);
	ck_assert_int_eq(
		rpc_client_create("moderation", fx->moderation_at, false, &s->moderation), STATUS_OK);
	ck_assert_int_eq(followup_create(2, &s->followup), STATUS_OK);
	s->rights = rights_cache_create(1024);
	s->people = people_create(1024);
	if (fixture_prepare != NULL)
		fixture_prepare(fx);
	ck_assert_int_eq(rpc_server_start(&(struct rpc_server_options){.listen = fx->messaging_at,
						  .bindings = messaging_bindings,
						  .binding_count = messaging_binding_count,
						  .service = s,
						  .workers = 8},
				 &fx->messaging),
		STATUS_OK);
	ck_assert_int_eq(rpc_client_create("messaging", fx->messaging_at, false, &fx->client), STATUS_OK);
	await_peer(s->moderation);
	await_peer(fx->client);
}

static inline void fixture_destroy(struct fixture *fx)
{
	struct service *s = &fx->service;

	rpc_client_destroy(fx->client);
	rpc_server_drain(fx->messaging, PATIENCE_MS);
	committer_drain(s->committer, PATIENCE_MS);
	followup_destroy(s->followup);
	rpc_server_stop(fx->messaging);
	committer_destroy(s->committer);
	rpc_client_destroy(s->moderation);
	rights_cache_destroy(s->rights);
	people_destroy(s->people);
	db_close(s->db);
	rpc_server_stop(fx->moderation);
	db_close(fx->facts);
	rmdir(fx->directory);
	arena_destroy(fx->mem);
}

/* ---- calling */

static inline struct rpc_context fixture_context(struct fixture *fx, bool writes)
{
	pb_UserView *view = ARENA_NEW(fx->mem, pb_UserView);
	uint64_t *id = arena_alloc(fx->mem, 16);
	uint8_t *hash = arena_alloc(fx->mem, 32);

	if (!fx->same_request)
		fx->request++;
	fx->same_request = false;
	id[0] = fx->request;
	memset(hash, fx->body, 32);
	*view = (pb_UserView){.id = fx->user,
		.username = arena_printf(fx->mem, "user%d", (int)fx->user),
		.created_at_ms = 1};
	return (struct rpc_context){.request_id = writes ? (const uint8_t *)id : NULL,
		.request_id_length = writes ? 16 : 0,
		.body_hash = writes ? hash : NULL,
		.actor_id = fx->user,
		.actor_epoch = fx->actor_epoch,
		.actor = fx->user != 0 ? view : NULL,
		.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS};
}

/* DO(fx, writes, post_message, &reply, .channel_id = 1, ...): one call; gives its status, fx->outcome has the
 * rest. */
#define DO(fx, writes, call, Request, reply, ...)                                                            \
	messaging_##call((fx)->client, (fx)->mem,                                                            \
		&(struct rpc_context[]){fixture_context((fx), (writes))}[0], &(Request){__VA_ARGS__},        \
		(reply), &(fx)->outcome)

static inline uint64_t made_channel(struct fixture *fx, bool private)
{
	pb_ChannelReply reply;

	ck_assert_int_eq(
		DO(fx, true, create_channel, pb_CreateChannelRequest, &reply, .team_id = TEAM,
			.kind = CHANNEL_TEXT, .name = (char *)"general", .private = private, .own = true),
		STATUS_OK);
	return reply.channel.id;
}

static inline pb_MessageView posted(
	struct fixture *fx, uint64_t channel, const char *content, uint64_t parent)
{
	pb_MessageReply reply;

	ck_assert_int_eq(DO(fx, true, post_message, pb_PostMessageRequest, &reply, .channel_id = channel,
				 .content = (char *)content, .parent_id = parent),
		STATUS_OK);
	return reply.message;
}

/* The n-th last event of a stream, decoded. */
static inline pb_Event event_back(struct fixture *fx, struct stream s, int n, char audience[AUDIENCE_SIZE])
{
	static const struct db_stmt read = {"test_event",
		"SELECT payload, audience FROM log.events WHERE rank = $1 AND id = $2 ORDER BY "
		"seq DESC LIMIT 1 OFFSET $3"};
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};
	pb_Event event;
	size_t length;

	ck_assert_int_eq(db_acquire(fx->facts, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	db_params_begin(&params, fx->mem);
	db_put_i16(&params, (int16_t)s.rank);
	db_put_id(&params, s.id);
	db_put_i64(&params, n);
	ck_assert_int_eq(db_query(conn, fx->mem, &read, &params, &rows), STATUS_OK);
	db_release(conn);
	ck_assert_int_eq(rows.count, 1);
	const uint8_t *payload = db_bytea(&rows, 0, 0, &length);
	ck_assert_int_eq(event_decode(fx->mem, payload, length, &event), STATUS_OK);
	snprintf(audience, AUDIENCE_SIZE, "%s", db_text(&rows, 0, 1));
	return event;
}

static inline int64_t number(struct fixture *fx, const char *sql)
{
	return pg_number(fx->url, sql);
}

/* Every stream's events are 1..n without a hole and its head is n. */
static inline void assert_streams_whole(struct fixture *fx)
{
	ck_assert_int_eq(
		number(fx,
			"SELECT count(*) FROM log.streams s WHERE s.seq <> (SELECT count(*) FROM log.events e"
			" WHERE e.rank = s.rank AND e.id = s.id) OR s.seq <> coalesce((SELECT max(seq) FROM "
			"log.events e"
			" WHERE e.rank = s.rank AND e.id = s.id), 0)"),
		0);
}

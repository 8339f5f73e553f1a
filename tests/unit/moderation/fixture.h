/*
 * Moderation as a whole in the test's process: its database, its committer, its calls over ipc://. The database is
 * tests/with-postgres', shared by all tests of a file, so each makes its own people, teams and channels. What other
 * owners write (accounts' streams, channels) is written here by SQL.
 */
#pragma once

#include <time.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/db/committer.h"
#include "common/db/migrate.h"
#include "common/rpc/stubs.h"
#include "services/moderation/evaluate.h"
#include "services/moderation/expiry.h"
#include "services/moderation/service.h"
#include "tests/unit/main.h"

#define PATIENCE_MS 20000

struct house {
	struct arena *mem;
	struct config config;
	struct moderation service;
	struct ids ids;
	struct rpc_server *server;
	struct rpc_client *client;
	struct rpc_outcome outcome; /* of the last call */
	char directory[64];
	const char *address;
	const uint8_t *request_id;  /* for the next call; NULL: a new one each time */
	uint64_t epoch;             /* of the actor's session in the next call */
	uint64_t generation;        /* under which it was looked at, 0: not told */
};

static struct house house;

static inline struct db_conn *db_of(struct house *h)
{
	struct db_conn *conn = NULL;
	ck_assert_int_eq(db_acquire(h->service.db, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	return conn;
}

__attribute__((format(printf, 2, 3))) static inline void sql(struct house *h, const char *format, ...)
{
	char text[4096];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct db_conn *conn = db_of(h);
	ck_assert_int_eq(db_script(conn, text), STATUS_OK);
	db_release(conn);
}

/* One number from one statement; a statement of a test runs once, so its text is its name. */
__attribute__((format(printf, 2, 3))) static inline int64_t number(struct house *h, const char *format, ...)
{
	static int next;
	char text[4096], name[32];
	struct db_rows rows = {0};
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(name, sizeof name, "test_%d", next++);
	struct db_stmt *stmt = ARENA_NEW(h->mem, struct db_stmt);
	stmt->name = arena_strdup(h->mem, name);
	stmt->sql = arena_strdup(h->mem, text);
	struct db_conn *conn = db_of(h);
	ck_assert_int_eq(db_query(conn, h->mem, stmt, NULL, &rows), STATUS_OK);
	int64_t value = rows.count > 0 ? db_i64(&rows, 0, 0) : -1;
	db_release(conn);
	return value;
}

/* The first connection takes its time when the machine is busy; a call before it is answered "no peer". */
static inline void await_peer(const struct rpc_client *client)
{
	int64_t until = clock_mono_ms() + PATIENCE_MS;

	while (!rpc_client_up(client) && clock_mono_ms() < until)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static inline struct house *house_open(void)
{
	struct house *h = &house;
	const char *why = "", *url = getenv("GUILDHALL_TEST_DB_URL");
	size_t bindings;

	memset(h, 0, sizeof *h);
	ck_assert_ptr_nonnull(url);
	ck_assert_int_ge(sodium_init(), 0);
	log_init("test", LOG_ERROR);
	h->mem = arena_create();
	h->config = (struct config){.db_url = url, .db_read_url = "", .db_readers = 4, .drain_ms = 1000, .crust_team = ""};
	ck_assert_msg(migrate_up(&(struct migrate_options){.url = url, .folder = MIGRATIONS, .out_why = &why}, h->mem,
			      NULL) == STATUS_OK,
		"%s", why);
	h->service.config = &h->config;
	h->service.instance = "test";
	h->service.ids = &h->ids;
	ids_init(&h->ids);
	ids_lease(&h->ids, (uint32_t)getpid() % 1024, clock_wall_ms(), INT64_MAX);
	ck_assert_int_eq(db_open(&(struct db_options){.url = url, .service = "test", .connections = 8, .generic_plans = true},
				 &h->service.db),
		STATUS_OK);
	ck_assert_int_eq(
		committer_create(&(struct committer_options){.config = &h->config, .service = "test"}, &h->service.committer),
		STATUS_OK);
	snprintf(h->directory, sizeof h->directory, "/tmp/guildhall-mod-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(h->directory));
	h->address = arena_printf(h->mem, "ipc://%s/rpc", h->directory);
	struct rpc_server_options serving = {.listen = h->address,
		.bindings = moderation_bindings(&bindings),
		.service = &h->service,
		.workers = 4};
	serving.binding_count = bindings;
	ck_assert_int_eq(rpc_server_start(&serving, &h->server), STATUS_OK);
	ck_assert_int_eq(rpc_client_create("moderation", h->address, false, &h->client), STATUS_OK);
	await_peer(h->client);
	return h;
}

static inline void house_close(struct house *h)
{
	rpc_client_destroy(h->client);
	rpc_server_drain(h->server, 1000);
	committer_drain(h->service.committer, 1000);
	rpc_server_stop(h->server);
	committer_destroy(h->service.committer);
	db_close(h->service.db);
	unlink(h->address + strlen("ipc://"));
	rmdir(h->directory);
	arena_destroy(h->mem);
}

/* ---- people, channels */

static inline pb_UserView *person(struct house *h, const char *name)
{
	pb_UserView *u = ARENA_NEW(h->mem, pb_UserView);
	u->id = ids_random();
	u->username = arena_strdup(h->mem, name);
	u->created_at_ms = 1;
	sql(h, "INSERT INTO log.streams (rank, id) VALUES (2, %ld)", (long)u->id);
	return u;
}

static pb_UserView *const the_system = NULL;

static inline struct rpc_context context(struct house *h, const pb_UserView *who)
{
	uint8_t *fresh = arena_alloc(h->mem, 16);
	ids_random_bytes(fresh, 16);
	struct rpc_context ctx = {.request_id = h->request_id != NULL ? h->request_id : fresh,
		.request_id_length = 16,
		.actor = who,
		.actor_id = who != NULL ? who->id : 0,
		.actor_epoch = h->epoch,
		.actor_generation = h->generation,
		.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS};
	return ctx;
}

/* STATUS of a call: CALL(h, who, join_team, &reply, .team_id = team). */
#define CALL(h, who, arm, reply, ...)                                                                        \
	({                                                                                                   \
		struct rpc_context ctx_ = context((h), (who));                                               \
		moderation_##arm((h)->client, (h)->mem, &ctx_,                                               \
			&(pb_ModerationRequest_call_##arm##_MSGTYPE){__VA_ARGS__}, (reply), &(h)->outcome);  \
	})
#define OK(h, who, arm, reply, ...)                                                                          \
	ck_assert_msg(CALL(h, who, arm, reply, __VA_ARGS__) == STATUS_OK, #arm ": %s, why %s, field %s, detail %s", \
		status_wire((h)->outcome.status), (h)->outcome.why, (h)->outcome.field, (h)->outcome.detail)
#define REFUSED(h, expected_status, expected_why, who, arm, reply, ...)                                      \
	do {                                                                                                 \
		ck_assert_str_eq(status_wire(CALL(h, who, arm, reply, __VA_ARGS__)), status_wire(expected_status)); \
		ck_assert_pstr_eq((h)->outcome.why, (expected_why));                                         \
	} while (0)
#define NEVERMIND(arm) (&(pb_ModerationReply_call_##arm##_MSGTYPE){0})

static inline uint64_t team_of(struct house *h, const pb_UserView *owner)
{
	pb_TeamReply reply;
	OK(h, owner, create_team, &reply, .name = "a team");
	return reply.team.id;
}

static inline void joins(struct house *h, uint64_t team, pb_UserView *who)
{
	OK(h, who, join_team, NEVERMIND(join_team), .team_id = team, .user_id = who->id);
}

struct channel_made {
	bool private, own;
	uint64_t created_by;
};
#define channel_in(h, team, ...) channel_make((h), (team), (struct channel_made){__VA_ARGS__})
static inline uint64_t channel_make(struct house *h, uint64_t team, struct channel_made made)
{
	uint64_t id = ids_random();
	sql(h,
		"INSERT INTO messaging.channels (id, rank, stream_id, team_id, kind, name, private, own, created_at_ms, created_by)"
		" VALUES (%ld, 1, %ld, %ld, 1, 'general', %s, %s, 1, %ld)",
		(long)id, (long)team, (long)team, made.private ? "true" : "false", made.own ? "true" : "false",
		(long)made.created_by);
	return id;
}

/* A role by SQL: whatever position and permission a test wants, without anybody's leave. */
static inline uint64_t role_in(struct house *h, uint64_t team, int position, enum permission p)
{
	struct bits set = bits_with((struct bits){0}, p);
	uint64_t id = (uint64_t)number(h, "SELECT nextval('log.small_ids')");
	sql(h,
		"INSERT INTO moderation.roles (id, team_id, name, permissions_low, permissions_high, position, created_at_ms)"
		" VALUES (%ld, %ld, 'r', %ld, %ld, %d, 1)",
		(long)id, (long)team, (long)set.low, (long)set.high, position);
	return id;
}

static inline void holds(struct house *h, uint64_t team, const pb_UserView *who, uint64_t role)
{
	sql(h, "INSERT INTO moderation.member_roles VALUES (%ld, %ld, %ld)", (long)team, (long)who->id, (long)role);
}

/* A set of permissions; PERMISSIONS(a, b) of their names. */
static inline pb_Bits set_of(size_t count, const enum permission *list)
{
	struct bits set = {0};
	for (size_t i = 0; i < count; i++)
		set = bits_with(set, list[i]);
	return (pb_Bits){set.low, set.high};
}
#define PERMISSIONS(...)                                                                                     \
	set_of(sizeof((enum permission[]){__VA_ARGS__}) / sizeof(enum permission), (enum permission[]){__VA_ARGS__})

/* By the call, at the bottom. */
static inline pb_RoleView role_made(struct house *h, const pb_UserView *who, uint64_t team, const char *name, pb_Bits set)
{
	pb_RoleReply reply;
	OK(h, who, create_role, &reply, .team_id = team, .name = arena_strdup(h->mem, name), .has_permissions = true,
		.permissions = set);
	ck_assert(reply.has_role);
	return reply.role;
}

static inline void given(struct house *h, const pb_UserView *by, uint64_t team, const pb_UserView *who, uint64_t role)
{
	OK(h, by, add_member_role, NEVERMIND(add_member_role), .team_id = team, .user_id = who->id, .role_id = role);
}

static inline uint64_t base_role(struct house *h, uint64_t team)
{
	return (uint64_t)number(h, "SELECT base_role_id FROM moderation.teams WHERE id = %ld", (long)team);
}

/* ---- what was written */

static inline int64_t member_epoch(struct house *h, uint64_t team, const pb_UserView *who)
{
	return number(h, "SELECT epoch FROM moderation.members WHERE team_id = %ld AND user_id = %ld", (long)team,
		(long)who->id);
}

static inline int64_t changed_seq(struct house *h, uint64_t team, const pb_UserView *who)
{
	return number(h, "SELECT changed_seq FROM moderation.members WHERE team_id = %ld AND user_id = %ld", (long)team,
		(long)who->id);
}

static inline int64_t stream_epoch(struct house *h, uint64_t team)
{
	return number(h, "SELECT authz_epoch FROM log.streams WHERE rank = 1 AND id = %ld", (long)team);
}

static inline uint64_t head(struct house *h, struct stream s)
{
	return (uint64_t)number(h, "SELECT seq FROM log.streams WHERE rank = %u AND id = %ld", s.rank, (long)s.id);
}

struct written {
	struct logged_event ev;
	pb_Event body;
};

/* The events of a stream after a seq, as they lie in the log. */
static inline struct written *events_after(struct house *h, struct stream s, uint64_t after, size_t *out_count)
{
	pb_FetchEventsReply reply;
	OK(h, the_system, fetch_events, &reply, .rank = s.rank, .stream_id = s.id, .after = after, .limit = 1000);
	ck_assert(!reply.gone);
	struct written *list = ARENA_ARRAY(h->mem, reply.events_count, struct written);
	for (size_t i = 0; i < reply.events_count; i++) {
		const pb_LoggedEvent *e = &reply.events[i];
		list[i].ev = (struct logged_event){.seq = e->seq, .kind = e->kind, .actor_id = e->actor_id};
		snprintf(list[i].ev.audience, AUDIENCE_SIZE, "%s", e->audience);
		ck_assert_int_eq(
			event_decode(h->mem, e->payload->bytes, e->payload->size, &list[i].body), STATUS_OK);
	}
	*out_count = reply.events_count;
	return list;
}

static inline const char *key(struct house *h, const char *class_name, uint64_t id)
{
	char text[AUDIENCE_SIZE];
	audience_key(text, class_name, id);
	return arena_strdup(h->mem, text);
}

/* Without what audit_recorded tells: audit_test.c says what of it comes where. */
static inline struct written *unaudited(struct written *list, size_t *count)
{
	size_t kept = 0;
	for (size_t i = 0; i < *count; i++)
		if (list[i].ev.kind != EVENT_KIND_audit_recorded)
			list[kept++] = list[i];
	*count = kept;
	return list;
}

/* The stream's events after `after` are exactly these, as "kind audience", audit_recorded aside: NULL ends the list. */
static inline struct written *expect_events(struct house *h, struct stream s, uint64_t after, ...)
{
	size_t count, i = 0;
	struct written *list = unaudited(events_after(h, s, after, &count), &count);
	va_list args;
	va_start(args, after);
	for (const char *kind; (kind = va_arg(args, const char *)) != NULL; i++) {
		const char *audience = va_arg(args, const char *);
		ck_assert_msg(i < count, "no %s", kind);
		ck_assert_str_eq(event_kind_name(list[i].ev.kind), kind);
		ck_assert_str_eq(list[i].ev.audience, audience);
	}
	va_end(args);
	ck_assert_uint_eq(i, count);
	return list;
}

static inline pb_Rights judged(struct house *h, const pb_UserView *who, uint64_t team, uint64_t channel)
{
	pb_JudgeReply reply;
	OK(h, who, judge, &reply, .user_id = who->id, .team_id = team, .channel_id = channel);
	ck_assert(reply.has_rights);
	return reply.rights;
}

static inline bool has(const pb_Rights *rights, enum permission p)
{
	return bits_has((struct bits){rights->bits.low, rights->bits.high}, p);
}

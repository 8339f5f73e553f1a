/*
 * The service as others meet it: calls over ipc, events on the bus, rows in a database of its own (tests/with-postgres).
 */
#include "services/presence/keeper.h"
#include "services/presence/presence.h"
#include "tests/lib/pg.h"
#include "tests/unit/main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/rpc/stubs.h"

#define ANN     UINT64_C(5000000001)
#define TEAM    UINT64_C(6000000000)
#define CHANNEL UINT64_C(7000000000)
#define WAIT_MS 20000

struct heard {
	uint32_t kind;
	uint64_t user_id;
	uint32_t shown, chosen;
	bool is_typing;
	struct stream stream; /* of the first target */
	char audience[AUDIENCE_SIZE];
};

struct fixture {
	char folder[64], url[PG_URL_SIZE], rpc[128], pub[128];
	struct config config;
	struct arena *mem;
	struct presence p;
	struct rpc_server *server;
	struct rpc_client *client;
	struct bus_order *order;
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct heard heard[256];
	size_t heard_count, taken;
	pb_UserView ann;
};

static void on_ephemeral(void *arg, struct bus_event *ev)
{
	struct fixture *fx = arg;
	const pb_EphemeralEvent *e = bus_event_ephemeral(ev);
	const pb_Event *body = bus_event_body(ev);
	struct heard *h;

	if (body == NULL || e->targets_count == 0)
		return;
	pthread_mutex_lock(&fx->lock);
	h = &fx->heard[fx->heard_count % 256];
	*h = (struct heard){.kind = e->kind, .stream = {e->targets[0].rank, e->targets[0].stream_id}};
	snprintf(h->audience, sizeof h->audience, "%s", e->targets[0].audience);
	if (body->which_body == EVENT_KIND_presence_changed) {
		h->user_id = body->body.presence_changed.user.id;
		h->shown = body->body.presence_changed.shown;
		h->chosen = body->body.presence_changed.chosen;
	} else if (body->which_body == EVENT_KIND_typing_changed) {
		h->user_id = body->body.typing_changed.user.id;
		h->is_typing = body->body.typing_changed.is_typing;
	} else if (body->which_body == EVENT_KIND_activity_reported) {
		h->user_id = body->body.activity_reported.user.id;
	}
	fx->heard_count++;
	pthread_cond_broadcast(&fx->came);
	pthread_mutex_unlock(&fx->lock);
}

static void on_event(void *arg, struct bus_event *ev)
{
	(void)arg;
	(void)ev;
}
static void on_followed(void *arg, struct stream s, uint64_t applied, void *cookie)
{
	(void)arg, (void)s, (void)applied, (void)cookie;
}
static void on_refetch(void *arg, struct stream s, uint64_t head)
{
	(void)arg, (void)s, (void)head;
}
static void on_generation(void *arg, const char *generation)
{
	(void)arg, (void)generation;
}
static enum status no_fetch(void *arg, struct arena *mem, struct stream s, uint64_t after, uint32_t limit, uint64_t head,
	pb_FetchEventsReply *out)
{
	(void)arg, (void)mem, (void)s, (void)after, (void)limit, (void)head, (void)out;
	return STATUS_BUSY;
}
static enum status no_heads(void *arg, struct arena *mem, const struct stream *s, size_t n, pb_StreamHeadsReply *out)
{
	(void)arg, (void)mem, (void)s, (void)n, (void)out;
	return STATUS_BUSY;
}

/* The next ephemeral event; the test fails when none comes. */
static struct heard next_heard(struct fixture *fx)
{
	struct timespec until;
	struct heard h;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&fx->lock);
	while (fx->taken == fx->heard_count)
		ck_assert_msg(pthread_cond_timedwait(&fx->came, &fx->lock, &until) != ETIMEDOUT, "no event came");
	h = fx->heard[fx->taken++ % 256];
	pthread_mutex_unlock(&fx->lock);
	return h;
}

static void service_start(struct fixture *fx)
{
	struct rpc_server_options options = {.listen = fx->rpc, .workers = 4, .service = &fx->p};

	fx->p = (struct presence){.instance = "presence-test"};
	ck_assert_int_eq(db_open(&(struct db_options){.url = fx->url, .service = "test", .connections = 4}, &fx->p.db), STATUS_OK);
	ck_assert_int_eq(bus_publisher_create(&(struct bus_publisher_options){.listen = fx->pub, .instance = "presence-test"},
				 &fx->p.publisher),
		STATUS_OK);
	ck_assert_int_eq(committer_create(&(struct committer_options){.config = &fx->config,
						  .service = "test",
						  .publisher = fx->p.publisher},
				 &fx->p.committer),
		STATUS_OK);
	presence_init(&fx->p);
	keeper_start(&fx->p, true);
	options.bindings = presence_bindings(&options.binding_count);
	ck_assert_int_eq(rpc_server_start(&options, &fx->server), STATUS_OK);
	ck_assert_int_eq(rpc_client_create("presence", fx->rpc, false, &fx->client), STATUS_OK);
}

static void service_stop(struct fixture *fx)
{
	rpc_client_destroy(fx->client);
	rpc_server_drain(fx->server, 5000);
	keeper_stop(fx->p.keeper);
	committer_drain(fx->p.committer, 5000);
	rpc_server_stop(fx->server);
	bus_publisher_destroy(fx->p.publisher);
	committer_destroy(fx->p.committer);
	presence_finish(&fx->p);
	db_close(fx->p.db);
}

static void order_start(struct fixture *fx)
{
	struct bus_order_options options = {
		.publishers = fx->pub,
		.callbacks = {on_event, on_ephemeral, on_followed, on_refetch, on_generation, fx},
		.fetch = no_fetch,
		.heads = no_heads,
	};
	const struct timespec pause = {.tv_nsec = 20000000};
	int64_t until = clock_mono_ms() + WAIT_MS;

	ck_assert_int_eq(bus_order_create(&options, &fx->order), STATUS_OK);
	while (!bus_order_publishers_heard(fx->order, 1000)) {
		ck_assert_int_lt(clock_mono_ms(), until);
		nanosleep(&pause, NULL);
	}
}

static void fixture_create(struct fixture *fx)
{
	*fx = (struct fixture){.mem = arena_create(), .folder = "/tmp/guildhall-presence-XXXXXX"};
	ck_assert_ptr_nonnull(mkdtemp(fx->folder));
	snprintf(fx->rpc, sizeof fx->rpc, "ipc://%s/rpc", fx->folder);
	snprintf(fx->pub, sizeof fx->pub, "ipc://%s/pub", fx->folder);
	pthread_mutex_init(&fx->lock, NULL);
	pthread_cond_init(&fx->came, NULL);
	pg_database_create(fx->url);
	pg_exec(fx->url, "INSERT INTO log.streams (rank, id) VALUES (2, 5000000001), (1, 6000000000);"
			 "INSERT INTO moderation.teams (id, name, owner_id, base_role_id, base_group_id, created_at_ms, created_by)"
			 " VALUES (6000000000, 'team', 1, 1, 1, 1, 1);"
			 "INSERT INTO moderation.members (team_id, user_id, joined_at_ms) VALUES (6000000000, 5000000001, 1)");
	fx->config = (struct config){.db_url = fx->url};
	fx->ann.id = ANN;
	fx->ann.username = "ann";
	service_start(fx);
	order_start(fx);
}

static void fixture_destroy(struct fixture *fx)
{
	bus_order_destroy(fx->order);
	service_stop(fx);
	arena_destroy(fx->mem);
	(void)rmdir(fx->folder);
}

static struct rpc_context by_ann(struct fixture *fx)
{
	struct rpc_context ctx = {.actor_id = ANN, .actor = &fx->ann, .deadline_mono_ms = clock_mono_ms() + WAIT_MS};
	uint8_t *id = arena_alloc(fx->mem, 16);

	ids_random_bytes(id, 16);
	ctx.request_id = id;
	ctx.request_id_length = 16;
	return ctx;
}

static struct rpc_context by_system(void)
{
	return (struct rpc_context){.deadline_mono_ms = clock_mono_ms() + WAIT_MS};
}

static uint64_t connect_ann(struct fixture *fx, bool full)
{
	uint64_t team = TEAM;
	pb_SocketOpened opened = pb_SocketOpened_init_zero;
	pb_SyncSocketsRequest rq = pb_SyncSocketsRequest_init_zero;
	pb_SyncSocketsReply reply;
	struct rpc_outcome outcome;
	struct rpc_context ctx = by_system();

	opened.socket_id = 1;
	opened.has_user = true;
	opened.user = fx->ann;
	opened.team_ids = &team;
	opened.team_ids_count = 1;
	rq.gateway = "gateway-1";
	rq.gateway_epoch = 1;
	rq.full = full;
	rq.opened = &opened;
	rq.opened_count = 1;
	ck_assert_int_eq(presence_sync_sockets(fx->client, fx->mem, &ctx, &rq, &reply, &outcome), STATUS_OK);
	return reply.epoch;
}

static enum status choose(struct fixture *fx, uint32_t chosen, pb_PresenceViewReply *out)
{
	pb_SetPresenceRequest rq = {.chosen = chosen};
	struct rpc_outcome outcome;
	struct rpc_context ctx = by_ann(fx);

	return presence_set_presence(fx->client, fx->mem, &ctx, &rq, out, &outcome);
}

static pb_PresenceView get(struct fixture *fx, bool own)
{
	uint64_t id = ANN;
	pb_GetPresenceRequest rq = {.user_ids_count = 1, .user_ids = &id};
	pb_GetPresenceReply reply;
	struct rpc_outcome outcome;
	struct rpc_context ctx = own ? by_ann(fx) : by_system();

	ck_assert_int_eq(presence_get_presence(fx->client, fx->mem, &ctx, &rq, &reply, &outcome), STATUS_OK);
	ck_assert_uint_eq(reply.presences_count, 1);
	return reply.presences[0];
}

static enum status set_status(struct fixture *fx, const char *text, pb_PresenceViewReply *out)
{
	uint64_t team = TEAM;
	pb_SetStatusRequest rq = {.text = (char *)text, .team_ids = &team, .team_ids_count = 1};
	struct rpc_outcome outcome;
	struct rpc_context ctx = by_ann(fx);

	return presence_set_status(fx->client, fx->mem, &ctx, &rq, out, &outcome);
}

static enum status type(struct fixture *fx, bool is_typing)
{
	pb_SetTypingRequest rq = pb_SetTypingRequest_init_zero;
	pb_Empty reply;
	struct rpc_outcome outcome;
	struct rpc_context ctx = by_ann(fx);

	rq.has_channel = rq.has_target = true;
	rq.channel.id = CHANNEL;
	rq.channel.name = "general";
	rq.target.rank = RANK_TEAM;
	rq.target.stream_id = TEAM;
	rq.target.audience = "channel:7000000000";
	rq.is_typing = is_typing;
	return presence_set_typing(fx->client, fx->mem, &ctx, &rq, &reply, &outcome);
}

START_TEST(every_call_is_served)
{
	size_t count = 0;
	const struct rpc_binding *bindings = presence_bindings(&count);

	ck_assert(rpc_bindings_complete("presence", bindings, count));
}
END_TEST

START_TEST(who_connects_is_announced_on_the_bus_and_shown)
{
	struct fixture fx;
	struct heard h;

	fixture_create(&fx);
	ck_assert_uint_ne(connect_ann(&fx, false), 0);
	h = next_heard(&fx);
	ck_assert_uint_eq(h.kind, EVENT_KIND_presence_changed);
	ck_assert_uint_eq(h.user_id, ANN);
	ck_assert_uint_eq(h.shown, PRESENCE_ONLINE);
	ck_assert_uint_eq(h.chosen, 0);
	ck_assert_uint_eq(h.stream.rank, RANK_TEAM);
	ck_assert_uint_eq(h.stream.id, TEAM);
	ck_assert_str_eq(h.audience, "team:6000000000");
	h = next_heard(&fx);
	ck_assert_uint_eq(h.chosen, PRESENCE_ONLINE);
	ck_assert_uint_eq(h.stream.rank, RANK_USER);
	ck_assert_str_eq(h.audience, "user:5000000001");
	ck_assert_uint_eq(get(&fx, false).shown, PRESENCE_ONLINE);
	ck_assert_uint_eq(get(&fx, false).chosen, 0);
	ck_assert_uint_eq(get(&fx, true).chosen, PRESENCE_ONLINE);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_choice_is_kept_through_a_restart_and_nothing_is_announced_twice)
{
	struct fixture fx;
	pb_PresenceViewReply reply;
	struct heard h;
	uint64_t before;

	fixture_create(&fx);
	before = connect_ann(&fx, false);
	next_heard(&fx);
	next_heard(&fx);
	ck_assert_int_eq(choose(&fx, PRESENCE_DND, &reply), STATUS_OK);
	ck_assert_uint_eq(reply.presence.shown, PRESENCE_DND);
	ck_assert_uint_eq(reply.presence.chosen, PRESENCE_DND);
	h = next_heard(&fx);
	ck_assert_uint_eq(h.shown, PRESENCE_DND);
	next_heard(&fx);
	bus_order_destroy(fx.order);
	service_stop(&fx);
	service_start(&fx);
	order_start(&fx);
	/* Before the gateway has registered again, what was announced last is shown. */
	ck_assert_uint_eq(get(&fx, false).shown, PRESENCE_DND);
	ck_assert_uint_ne(connect_ann(&fx, true), before);
	ck_assert_uint_eq(get(&fx, true).shown, PRESENCE_DND);
	/* The next thing heard is the next change: coming back as before was none. */
	ck_assert_int_eq(choose(&fx, PRESENCE_INVISIBLE, &reply), STATUS_OK);
	h = next_heard(&fx);
	ck_assert_uint_eq(h.shown, PRESENCE_OFFLINE);
	ck_assert_uint_eq(h.chosen, 0);
	h = next_heard(&fx);
	ck_assert_uint_eq(h.chosen, PRESENCE_INVISIBLE);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(typing_goes_to_the_channel_and_its_end_too)
{
	struct fixture fx;
	struct heard h;

	fixture_create(&fx);
	ck_assert_int_eq(type(&fx, true), STATUS_OK);
	h = next_heard(&fx);
	ck_assert_uint_eq(h.kind, EVENT_KIND_typing_changed);
	ck_assert(h.is_typing);
	ck_assert_str_eq(h.audience, "channel:7000000000");
	ck_assert_int_eq(type(&fx, false), STATUS_OK);
	h = next_heard(&fx);
	ck_assert(!h.is_typing);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(an_activity_is_told_and_ends_a_status_that_waits_for_one)
{
	struct fixture fx;
	pb_PresenceViewReply reply;
	pb_SetStatusRequest status = {.text = (char *)"away", .clear_when_active = true};
	pb_SendActivityRequest rq = pb_SendActivityRequest_init_zero;
	pb_Empty nothing;
	struct rpc_outcome outcome;
	struct rpc_context ctx;
	struct heard h;

	fixture_create(&fx);
	ctx = by_ann(&fx);
	ck_assert_int_eq(presence_set_status(fx.client, fx.mem, &ctx, &status, &reply, &outcome), STATUS_OK);
	rq.has_target = true;
	rq.target.rank = RANK_TEAM;
	rq.target.stream_id = TEAM;
	rq.target.audience = "team:6000000000";
	ctx = by_ann(&fx);
	ck_assert_int_eq(presence_send_activity(fx.client, fx.mem, &ctx, &rq, &nothing, &outcome), STATUS_FIELD_INVALID);
	ck_assert_str_eq(outcome.field, "kind");
	rq.kind = "reading";
	ctx = by_ann(&fx);
	ck_assert_int_eq(presence_send_activity(fx.client, fx.mem, &ctx, &rq, &nothing, &outcome), STATUS_OK);
	h = next_heard(&fx);
	ck_assert_uint_eq(h.kind, EVENT_KIND_activity_reported);
	ck_assert_uint_eq(h.user_id, ANN);
	ck_assert_str_eq(h.audience, "team:6000000000");
	pg_await(fx.url, "SELECT count(*) FROM presence.people WHERE status_text IS NULL", 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(typing_and_any_change_end_a_status_that_waits_for_an_act)
{
	struct fixture fx;
	pb_PresenceViewReply reply;
	pb_SetStatusRequest status = {.text = (char *)"away", .clear_when_active = true};
	pb_SetTypingRequest typing = pb_SetTypingRequest_init_zero;
	pb_Empty nothing;
	struct rpc_outcome outcome;
	struct rpc_context ctx;

	fixture_create(&fx);
	ctx = by_ann(&fx);
	ck_assert_int_eq(presence_set_status(fx.client, fx.mem, &ctx, &status, &reply, &outcome), STATUS_OK);
	typing.is_typing = typing.has_channel = typing.has_target = true;
	typing.channel.id = 77;
	typing.target = (pb_Target){.rank = RANK_TEAM, .stream_id = TEAM, .audience = (char *)"team:6000000000"};
	ctx = by_ann(&fx);
	ck_assert_int_eq(presence_set_typing(fx.client, fx.mem, &ctx, &typing, &nothing, &outcome), STATUS_OK);
	pg_await(fx.url, "SELECT count(*) FROM presence.people WHERE status_text IS NULL", 1);
	ctx = by_ann(&fx);
	ck_assert_int_eq(presence_set_status(fx.client, fx.mem, &ctx, &status, &reply, &outcome), STATUS_OK);
	ck_assert_int_eq(choose(&fx, PRESENCE_DND, &reply), STATUS_OK);
	pg_await(fx.url, "SELECT count(*) FROM presence.people WHERE status_text IS NULL", 1);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(who_is_shown_as_present_in_a_team_is_listed_with_his_status)
{
	struct fixture fx;
	pb_PresenceViewReply reply;
	pb_ListOnlineRequest rq = {.team_id = TEAM};
	pb_ListOnlineReply list;
	struct rpc_outcome outcome;
	struct rpc_context ctx;

	fixture_create(&fx);
	connect_ann(&fx, false);
	next_heard(&fx);
	ck_assert_int_eq(set_status(&fx, "here", &reply), STATUS_OK);
	ctx = by_system();
	ck_assert_int_eq(presence_list_online(fx.client, fx.mem, &ctx, &rq, &list, &outcome), STATUS_OK);
	ck_assert_uint_eq(list.presences_count, 1);
	ck_assert_uint_eq(list.presences[0].user_id, ANN);
	ck_assert_str_eq(list.presences[0].status.text, "here");
	ck_assert(!list.more);
	rq.after = ANN;
	ctx = by_system();
	ck_assert_int_eq(presence_list_online(fx.client, fx.mem, &ctx, &rq, &list, &outcome), STATUS_OK);
	ck_assert_uint_eq(list.presences_count, 0);
	rq = (pb_ListOnlineRequest){.team_id = TEAM + 1};
	ctx = by_system();
	ck_assert_int_eq(presence_list_online(fx.client, fx.mem, &ctx, &rq, &list, &outcome), STATUS_OK);
	ck_assert_uint_eq(list.presences_count, 0);
	rq.team_id = TEAM;
	ck_assert_int_eq(choose(&fx, PRESENCE_INVISIBLE, &reply), STATUS_OK);
	ctx = by_system();
	ck_assert_int_eq(presence_list_online(fx.client, fx.mem, &ctx, &rq, &list, &outcome), STATUS_OK);
	ck_assert_uint_eq(list.presences_count, 0);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_status_is_answered_and_shown_until_it_is_cleared)
{
	struct fixture fx;
	pb_PresenceViewReply reply;
	pb_ClearStatusRequest rq = pb_ClearStatusRequest_init_zero;
	struct rpc_outcome outcome;
	struct rpc_context ctx;

	fixture_create(&fx);
	ck_assert_int_eq(set_status(&fx, "in a meeting", &reply), STATUS_OK);
	ck_assert_str_eq(reply.presence.status.text, "in a meeting");
	ck_assert_str_eq(get(&fx, false).status.text, "in a meeting");
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events WHERE kind = 230"), 2);
	ctx = by_ann(&fx);
	ck_assert_int_eq(presence_clear_status(fx.client, fx.mem, &ctx, &rq, &reply, &outcome), STATUS_OK);
	ck_assert(!get(&fx, false).has_status);
	/* The team is told by the keeper: it was told of the status, and the request did not name it. */
	pg_await(fx.url, "SELECT count(*) FROM log.events WHERE kind = 230", 4);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(a_status_that_runs_out_is_cleared_by_the_timer)
{
	struct fixture fx;
	pb_PresenceViewReply reply;

	fixture_create(&fx);
	ck_assert_int_eq(set_status(&fx, "soon back", &reply), STATUS_OK);
	pg_exec(fx.url, "UPDATE presence.people SET status_expires_at_ms = 1");
	ck_assert(!get(&fx, false).has_status); /* not shown any more, cleared or not */
	pg_await(fx.url, "SELECT count(*) FROM presence.people WHERE status_text IS NULL", 1);
	ck_assert_int_eq(pg_number(fx.url, "SELECT count(*) FROM log.events WHERE kind = 230"), 4);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(without_the_database_presence_and_typing_go_on_and_a_status_is_busy)
{
	struct fixture fx;
	pb_PresenceViewReply reply;

	fixture_create(&fx);
	connect_ann(&fx, false);
	next_heard(&fx);
	next_heard(&fx);
	pg_cluster("stop");
	ck_assert_int_eq(type(&fx, true), STATUS_OK);
	ck_assert(next_heard(&fx).is_typing);
	ck_assert_uint_eq(get(&fx, false).shown, PRESENCE_ONLINE);
	ck_assert(get(&fx, false).status_unknown);
	ck_assert_int_eq(set_status(&fx, "busy", &reply), STATUS_BUSY);
	pg_cluster("start");
	fixture_destroy(&fx);
}
END_TEST

START_TEST(calls_of_the_wrong_caller_are_refused)
{
	struct fixture fx;
	pb_ForgetPersonRequest forget = {.user_id = ANN};
	pb_SetPresenceRequest set = {.chosen = PRESENCE_DND};
	pb_GetPresenceRequest many = pb_GetPresenceRequest_init_zero;
	pb_GetPresenceReply presences;
	pb_PresenceViewReply reply;
	pb_Empty nothing;
	struct rpc_outcome outcome;
	struct rpc_context ctx;

	fixture_create(&fx);
	ctx = by_ann(&fx);
	ck_assert_int_eq(presence_forget_person(fx.client, fx.mem, &ctx, &forget, &nothing, &outcome), STATUS_FORBIDDEN);
	ctx = by_system();
	ck_assert_int_eq(presence_set_presence(fx.client, fx.mem, &ctx, &set, &reply, &outcome), STATUS_FORBIDDEN);
	ck_assert_int_eq(presence_forget_person(fx.client, fx.mem, &ctx, &forget, &nothing, &outcome), STATUS_OK);
	ck_assert_int_eq(choose(&fx, PRESENCE_OFFLINE, &reply), STATUS_FIELD_INVALID);
	ck_assert_int_eq(choose(&fx, 0, &reply), STATUS_FIELD_INVALID);
	many.user_ids = arena_array(fx.mem, PRESENCE_GET_MOST + 1, sizeof(uint64_t));
	many.user_ids_count = PRESENCE_GET_MOST + 1;
	ctx = by_system();
	ck_assert_int_eq(presence_get_presence(fx.client, fx.mem, &ctx, &many, &presences, &outcome), STATUS_FIELD_INVALID);
	fixture_destroy(&fx);
}
END_TEST

TESTS("presence-calls", every_call_is_served, who_connects_is_announced_on_the_bus_and_shown,
	a_choice_is_kept_through_a_restart_and_nothing_is_announced_twice, typing_goes_to_the_channel_and_its_end_too,
	an_activity_is_told_and_ends_a_status_that_waits_for_one,
	typing_and_any_change_end_a_status_that_waits_for_an_act,
	who_is_shown_as_present_in_a_team_is_listed_with_his_status, a_status_is_answered_and_shown_until_it_is_cleared, a_status_that_runs_out_is_cleared_by_the_timer,
	without_the_database_presence_and_typing_go_on_and_a_status_is_busy, calls_of_the_wrong_caller_are_refused)

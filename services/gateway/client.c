/*
 * client - see client.h.
 */
#include "services/gateway/client.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/catchup.h"
#include "services/gateway/deflate.h"
#include "services/gateway/limits.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/slots.h"
#include "services/gateway/subscribe.h"
#include "services/gateway/typing.h"
#include "services/gateway/whereabouts.h"

#define CLOSE_WAIT_MS  2000 /* for the peer's answer to our close frame */
#define TOKEN_RETRY_MS 250
#define TOKEN_MOST     512
#define RECENT_IDS     8 /* copies of one event come close together */

const char *close_reason_name(enum close_reason reason)
{
	static const char *const names[] = {
#define CLOSE(reason, house, crust, text) #reason,
#include "services/gateway/close.tbl.h"
#undef CLOSE
	};
	return names[reason];
}

const char *close_reason_text(enum close_reason reason)
{
	static const char *const texts[] = {
#define CLOSE(reason, house, crust, text) text,
#include "services/gateway/close.tbl.h"
#undef CLOSE
	};
	return texts[reason];
}

void client_list_add(struct client_list *list, struct client *client)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
		list->items = memory_resize(list->items, list->capacity * sizeof *list->items);
	}
	list->items[list->count++] = client;
}

void client_list_finish(struct client_list *list)
{
	free(list->items);
	*list = (struct client_list){0};
}

static void close_with(struct client *client, enum close_reason reason, uint16_t code, bool discard);
static void mark(struct client *client, bool bulk);

/* ---- states */

/* The gauge of a client's dialect and state; NULL: of none. */
static _Atomic int64_t *gauge_of(const struct client *client)
{
	static _Atomic int64_t *const house[] = {[CLIENT_CONNECTING] = &metrics.ws_house_connecting,
		[CLIENT_AUTHENTICATING] = &metrics.ws_house_authenticating,
		[CLIENT_READY] = &metrics.ws_house_ready,
		[CLIENT_CLOSING] = &metrics.ws_house_closing,
		[CLIENT_ENDED] = NULL};
	static _Atomic int64_t *const crust[] = {[CLIENT_CONNECTING] = &metrics.ws_crust_connecting,
		[CLIENT_AUTHENTICATING] = &metrics.ws_crust_authenticating,
		[CLIENT_READY] = &metrics.ws_crust_ready,
		[CLIENT_CLOSING] = &metrics.ws_crust_closing,
		[CLIENT_ENDED] = NULL};

	if (client->state == CLIENT_ENDED)
		return NULL;
	if (client->dialect == NULL)
		return &metrics.ws_handshaking;
	switch (client->dialect->id) {
	case DIALECT_HOUSE:
		return house[client->state];
	case DIALECT_CRUST:
		return crust[client->state];
	case DIALECT_TEAMLY:
	case DIALECT_GUILDED:
	case DIALECT_GUILDED_BOT:
		return NULL;
	}
	return NULL;
}

static void count_state(const struct client *client, int64_t by)
{
	_Atomic int64_t *gauge = gauge_of(client);

	if (gauge != NULL)
		atomic_fetch_add_explicit(gauge, by, memory_order_relaxed);
}

static void state_set(struct client *client, enum client_state state)
{
	count_state(client, -1);
	client->state = (uint8_t)state;
	count_state(client, 1);
}

/* ---- timers */

static void authentication_is_late(struct timer *timer, int64_t now_mono_ms)
{
	struct client *client = memory_holder(timer, struct client, timer);

	if (client->dialect == NULL) {
		metric_add(ws_refused_slow_handshake, 1);
		client->close_reason = CLOSE_SILENT;
		client_end(client);
	} else {
		if (client->state == CLIENT_CONNECTING)
			metric_add(ws_refused_unauthenticated, 1);
		/* With a token in hand it is not the client that was silent. */
		client_close(client,
			client->state == CLIENT_AUTHENTICATING ? CLOSE_UNAVAILABLE : CLOSE_SILENT, true);
	}
}

static void closing_is_over(struct timer *timer, int64_t now_mono_ms)
{
	client_end(memory_holder(timer, struct client, timer));
}

/* Positions of the streams that moved without a word to this client. */
static void tell_positions(struct client *client)
{
	struct hub *hub = client->hub;
	size_t count = 0, most = 0;

	for (const struct member *member = client->members; member != NULL; member = member->next)
		most++;
	struct stream *streams = ARENA_ARRAY(hub->scratch, most, struct stream);
	uint64_t *seqs = ARENA_ARRAY(hub->scratch, most, uint64_t);
	for (struct member *member = client->members; member != NULL; member = member->next) {
		if (!member->live || !member->announced || member->catchup != NULL ||
			member->feed->applied <= member->told)
			continue;
		streams[count] = member->feed->stream;
		seqs[count++] = member->told = member->feed->applied;
	}
	if (count > 0)
		client->dialect->position(client, hub_generation(hub), streams, seqs, count);
	arena_reset(hub->scratch);
}

/* Its token may end before the next beat. */
static void beat_in(struct client *client, int64_t after_ms)
{
	struct hub *hub = client->hub;
	int64_t left_ms = client->expires_at_ms - hub->now_wall_ms;

	if (client->expires_at_ms != 0 && left_ms < after_ms)
		after_ms = left_ms > 0 ? left_ms : 1;
	wheel_start(&hub->wheel, &client->timer, hub->now_mono_ms + after_ms);
}

static void heartbeat(struct timer *timer, int64_t now_mono_ms)
{
	struct client *client = memory_holder(timer, struct client, timer);
	struct hub *hub = client->hub;

	if (now_mono_ms - client->heard_at_ms >= 2 * (int64_t)hub->options.heartbeat_ms) {
		client_close(client, CLOSE_SILENT, true);
		return;
	}
	if (client->expires_at_ms != 0 && hub->now_wall_ms >= client->expires_at_ms) {
		client_close(client, CLOSE_BAD_TOKEN, true);
		return;
	}
	beat_in(client, hub->options.heartbeat_ms);
	client_send(client, frame_make(FRAME_PING, NULL, 0));
	if ((client->flags & CLIENT_RESUME) != 0 && client->state == CLIENT_READY)
		tell_positions(client);
}

/* ---- the beginning */

static void token_retry(struct timer *timer, int64_t now_mono_ms);

void client_begin(struct hub *hub, struct client *client, uint64_t socket_id)
{
	*client = (struct client){.hub = hub,
		.socket_id = socket_id,
		.state = CLIENT_CONNECTING,
		.heard_at_ms = hub->now_mono_ms,
		.timer.fire = authentication_is_late,
		.retry.fire = token_retry};
	client->next = hub->clients;
	client->link = &hub->clients;
	if (client->next != NULL)
		client->next->link = &client->next;
	hub->clients = client;
	hub->client_count++;
	table_put(&hub->sockets, socket_id, client);
	wheel_start(&hub->wheel, &client->timer,
		hub->now_mono_ms + (hub->options.handshake_ms != 0 ? hub->options.handshake_ms : hub->options.auth_ms));
	metric_add(ws_unauthenticated, 1);
	count_state(client, 1);
}

bool client_connected(struct client *client, size_t dialect_no, const struct handshake *hs)
{
	char token[TOKEN_MOST + 1];
	bool present = false;

	count_state(client, -1);
	client->dialect_no = (uint8_t)dialect_no;
	client->dialect = dialects[dialect_no];
	client->door = client->dialect->refusal != NULL ? DOOR_CLOSED : DOOR_NONE;
	count_state(client, 1);
	wheel_start(&client->hub->wheel, &client->timer, client->hub->now_mono_ms + client->hub->options.auth_ms);
	if (!client->dialect->connected(client, hs, token, sizeof token, &present))
		return false;
	if (present)
		client_authenticate(client, token);
	else if (client->door == DOOR_CLOSED) /* nothing can be said before it is open */
		client_close(client, CLOSE_BAD_TOKEN, true);
	sodium_memzero(token, sizeof token);
	return true;
}

void client_admit(struct client *client)
{
	if (client->door != DOOR_CLOSED || client->state != CLIENT_READY)
		return;
	client->door = DOOR_OPENING;
	mark(client, false);
	whereabouts_want(client);
}

void client_refused(struct client *client)
{
	struct hub *hub = client->hub;

	client->timer.fire = closing_is_over;
	wheel_start(&hub->wheel, &client->timer, hub->now_mono_ms + CLOSE_WAIT_MS);
}

/* ---- authentication */

struct token_question {
	struct question question;
	struct client *client; /* NULL: it went */
};

static void token_forget(struct client *client)
{
	if (client->token == NULL)
		return;
	sodium_memzero(client->token, strlen(client->token));
	free(client->token);
	client->token = NULL;
}

static void token_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why);

static void token_ask(struct client *client)
{
	struct hub *hub = client->hub;
	struct token_question *asked = memory_new(sizeof *asked);

	*asked = (struct token_question){.question.answered = token_answered, .client = client};
	client->asking = &asked->question;
	hub->options.ports->ask_token(
		hub->options.arg, hub_ask(hub, &asked->question), client->token, client->dialect->id);
}

static void token_retry(struct timer *timer, int64_t now_mono_ms)
{
	token_ask(memory_holder(timer, struct client, retry));
}

void client_authenticate(struct client *client, const char *token)
{
	assert(client->state == CLIENT_CONNECTING);
	client->token = memory_text(token);
	state_set(client, CLIENT_AUTHENTICATING);
	token_ask(client);
}

static void user_join(struct client *client, const pb_UserView *view)
{
	struct hub *hub = client->hub;
	struct user *user = hub_user(hub, view->id);

	if (user == NULL) {
		user = memory_new(sizeof *user);
		user->id = view->id;
		table_put(&hub->users, user->id, user);
	}
	const uint8_t *bytes = NULL;
	size_t length = 0;
	if (pb_encode_arena(hub->scratch, pb_UserView_fields, view, &bytes, &length) == STATUS_OK) {
		free(user->view);
		user->view = memory_resize(NULL, length + 1);
		memcpy(user->view, bytes, length);
		user->view_length = length;
	}
	arena_reset(hub->scratch);
	client->user = user;
	client->user_next = user->clients;
	client->user_link = &user->clients;
	if (client->user_next != NULL)
		client->user_next->user_link = &client->user_next;
	user->clients = client;
}

static void user_leave(struct client *client)
{
	struct user *user = client->user;

	if (user == NULL)
		return;
	*client->user_link = client->user_next;
	if (client->user_next != NULL)
		client->user_next->user_link = client->user_link;
	client->user = NULL;
	if (user->clients != NULL)
		return;
	table_remove(&client->hub->users, user->id);
	typing_forget(user);
	free(user->view);
	free(user);
}

struct user *hub_user(struct hub *hub, uint64_t user_id)
{
	return table_get(&hub->users, user_id);
}

const pb_UserView *client_view(const struct client *client, struct arena *mem)
{
	pb_UserView *view = ARENA_NEW(mem, pb_UserView);

	if (client->user == NULL || pb_decode_arena(mem, pb_UserView_fields, view, client->user->view,
					    client->user->view_length) != STATUS_OK)
		return NULL;
	return view;
}

/* Before the door nobody is there yet: who is refused never was, and who comes in hears of himself. */
static void is_there(struct client *client)
{
	if (client->door != DOOR_CLOSED)
		whereabouts_want(client);
}

void client_teams_changed(struct client *client, uint64_t team)
{
	if (client->state != CLIENT_READY)
		return;
	is_there(client);
	if (team != 0)
		subscribe_joined(client, STREAM_TEAM(team), CLIENT_GLOBAL);
}

void client_conversation_joined(struct client *client, uint64_t conversation)
{
	if (client->state != CLIENT_READY)
		return;
	is_there(client);
	subscribe_joined(client, STREAM_TEAM(conversation), CLIENT_DIRECT);
}

void client_conversation_left(struct client *client)
{
	if (client->state == CLIENT_READY)
		is_there(client);
}

/* From here on a revocation is seen. */
static void own_stream_settled(struct client *client, struct stream s, struct member *member, enum status st)
{
	struct hub *hub = client->hub;

	if (member == NULL) {
		client_close(client, CLOSE_UNAVAILABLE, true);
		return;
	}
	token_forget(client);
	state_set(client, CLIENT_READY);
	client->timer.fire = heartbeat;
	/* Spread, so that those who connected together are not all served in one turn. */
	uint32_t first = hub->options.heartbeat_ms / 2 +
			 hub->options.ports->random(hub->options.arg, hub->options.heartbeat_ms / 2 + 1);
	beat_in(client, first);
	metric_add(ws_unauthenticated, -1);
	metric_add(ws_sockets, 1);
	is_there(client);
	client->dialect->authenticated(client);
}

/* The stream has gone on since the token was looked at. */
static void token_again(struct client *client)
{
	if (client->asking == NULL && !timer_running(&client->retry))
		token_ask(client);
}

static void token_is_good(struct client *client, const pb_ResolveTokenReply *got)
{
	struct stream own = STREAM_USER(got->account.id);
	struct member *member = NULL;
	struct socket_limits *limits = client->hub->options.limits;

	if (limits != NULL && !client->counted) {
		if (!limits_account_enter(limits, got->account.id)) {
			metric_add(ws_refused_account_sockets, 1);
			client_close(client, CLOSE_TOO_MANY_SOCKETS, true);
			return;
		}
		client->counted = true;
	}
	client->session_id = got->session_id;
	client->epoch = got->epoch;
	client->generation = got->generation;
	client->expires_at_ms = (int64_t)got->expires_at_ms;
	client->may_write = got->may_write;
	if (client->user == NULL) {
		user_join(client, &got->account);
		member = open_stream(client, own, OPEN_BY_TOKEN, own_stream_settled);
		member->opening->again = token_again;
	} else {
		member = member_find(client, own);
	}
	if (member != NULL && member->opening != NULL)
		opening_answer(member->opening, NULL, got->user_stream_seq, 0);
}

static void token_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct token_question *asked = (struct token_question *)question;
	struct client *client = asked->client;

	free(asked);
	if (client == NULL)
		return;
	client->asking = NULL;
	switch (st) {
	case STATUS_OK: {
		const pb_ResolveTokenReply *got = reply;
		/* The place in the user's own stream is of a log that the bus has yet to speak of, or no more. */
		if (!open_mark_fits(hub, got->generation))
			wheel_start(&hub->wheel, &client->retry, hub->now_mono_ms + TOKEN_RETRY_MS);
		else if (got->has_account && got->account.id != 0 &&
			(client->user == NULL || client->user->id == got->account.id))
			token_is_good(client, got);
		else
			client_close(client, CLOSE_BAD_TOKEN, true);
		return;
	}
	case STATUS_BUSY:
	case STATUS_LATE:
	case STATUS_INTERNAL:
	case STATUS_STALE:
	case STATUS_RATE_LIMITED:
		/* Held until the deadline of authentication. */
		wheel_start(&hub->wheel, &client->retry, hub->now_mono_ms + TOKEN_RETRY_MS);
		return;
	case STATUS_FORBIDDEN: /* a good token, but not for this */
		client_close(client, CLOSE_NO_SCOPE, true);
		return;
	case STATUS_MALFORMED:
	case STATUS_FIELD_INVALID:
	case STATUS_WRONG_CREDENTIALS:
	case STATUS_UNAUTHENTICATED:
	case STATUS_NO_ACCESS:
	case STATUS_TIMED_OUT:
	case STATUS_MUTED:
	case STATUS_BLOCKED:
	case STATUS_NOT_FOUND:
	case STATUS_NO_ROUTE:
	case STATUS_WRONG_METHOD:
	case STATUS_CONFLICT:
	case STATUS_ARCHIVED:
	case STATUS_AT_LIMIT:
	case STATUS_FULL:
	case STATUS_TOO_LARGE:
	case STATUS_BAD_MEDIA:
	case STATUS_SLOW_MODE:
	case STATUS_CURSOR_TOO_OLD:
	case STATUS_NOT_IMPLEMENTED:
	case STATUS_COUNT:
		client_close(client,
			why != NULL && strcmp(why, "disabled") == 0 ? CLOSE_DISABLED : CLOSE_BAD_TOKEN, true);
		return;
	}
}

/* ---- what comes */

void client_received(struct client *client, enum frame_step step, const struct frame_in *in)
{
	client_heard(client);
	if (client->door == DOOR_CLOSED) { /* nobody may speak before the upgrade is answered */
		client_close(client, CLOSE_PROTOCOL, true);
		return;
	}
	if (step == FRAME_STEP_FAILED) {
		enum close_reason reason = in->code == FRAME_CLOSE_TOO_BIG    ? CLOSE_TOO_BIG
					   : in->code == FRAME_CLOSE_BAD_TEXT ? CLOSE_BAD_TEXT
									      : CLOSE_PROTOCOL;
		client_close(client, reason, false);
		return;
	}
	if (step == FRAME_STEP_CONTROL && in->opcode == FRAME_CLOSE) {
		if (client->state == CLIENT_CLOSING) {
			client_end(client); /* the answer to ours */
		} else {
			/* What waits goes first: it may be the answer to a ping that came before. The peer gets its own
			 * code back (RFC 6455, section 5.5.1). */
			client->close_reason = CLOSE_NORMAL;
			close_with(client, CLOSE_NORMAL, in->code, false);
		}
		return;
	}
	if (client->state == CLIENT_CLOSING)
		return;
	if (step == FRAME_STEP_CONTROL && in->opcode == FRAME_PING)
		client_send(client, frame_make(FRAME_PONG, in->bytes, in->length));
	else if (step == FRAME_STEP_MESSAGE)
		client->dialect->message(
			client, in->opcode == FRAME_TEXT, (const char *)in->bytes, in->length);
}

enum client_ops client_count_op(struct client *client)
{
	struct hub *hub = client->hub;
	uint32_t most = hub->options.ops_per_min;

	if (most == 0)
		return CLIENT_OPS_FINE;
	if (hub->now_mono_ms - client->ops_since_ms >= 60000) {
		client->ops_since_ms = hub->now_mono_ms;
		client->ops = 0;
	}
	client->ops++;
	if (client->ops <= most)
		return CLIENT_OPS_FINE;
	if (client->ops <= 2 * most)
		return CLIENT_OPS_TOO_MANY;
	metric_add(ws_refused_operations, 1);
	client_close(client, CLOSE_TOO_MANY_OPS, true);
	return CLIENT_OPS_CLOSED;
}

bool client_first_copy(struct client *client, uint64_t event_id)
{
	if (event_id == 0)
		return true;
	if (client->recent == NULL)
		client->recent = memory_new(RECENT_IDS * sizeof *client->recent);
	for (size_t i = 0; i < RECENT_IDS; i++)
		if (client->recent[i] == event_id)
			return false;
	client->recent[client->recent_at] = event_id;
	client->recent_at = (uint8_t)((client->recent_at + 1) % RECENT_IDS);
	return true;
}

/* ---- what goes */

static void mark(struct client *client, bool bulk)
{
	struct hub *hub = client->hub;

	if (bulk) {
		if ((client->flags & (CLIENT_IN_BULK | CLIENT_IN_URGENT | CLIENT_BLOCKED)) == 0) {
			client->flags |= CLIENT_IN_BULK;
			client_list_add(&hub->bulk, client);
		}
	} else if ((client->flags & (CLIENT_IN_URGENT | CLIENT_BLOCKED)) == 0) {
		client->flags |= CLIENT_IN_URGENT;
		client_list_add(&hub->urgent, client);
	}
}

bool client_append(struct client *client, struct frame *frame, bool bulk)
{
	struct hub *hub = client->hub;

	if (client->state != CLIENT_READY)
		return false;
	if (client->deflate != DEFLATE_NONE)
		frame = deflate_frame(hub->deflate, frame, (enum deflate_class)client->deflate);
	if (!queue_push(&hub->pool, &client->queue, frame, hub->options.queue_bytes)) {
		client_stuck(client);
		return false;
	}
	mark(client, bulk);
	hub->events_sent++;
	return true;
}

void client_append_ephemeral(struct client *client, struct frame *frame, bool bulk)
{
	struct hub *hub = client->hub;
	uint32_t half = hub->options.queue_bytes / 2;

	if ((hub->pressed && client->queue.bytes > 0) || client->queue.bytes > half || frame->length > half)
		hub->ephemeral_shed++;
	else
		client_append(client, frame, bulk);
}

void client_send(struct client *client, struct frame *frame)
{
	struct hub *hub = client->hub;

	if (client->state <= CLIENT_READY) {
		if (queue_push(&hub->pool, &client->queue, frame, hub->options.queue_bytes))
			mark(client, false);
		else
			client_stuck(client);
	}
	frame_unref(frame);
}

void client_send_text(struct client *client, const char *text, size_t length)
{
	client_send(client, frame_make(FRAME_TEXT, text, length));
}

void client_stuck(struct client *client)
{
	metric_add(ws_slow_readers, 1);
	client_close(client, CLOSE_SLOW_READER, true);
}

static int longest_first(const void *a, const void *b)
{
	uint32_t left = (*(struct client *const *)a)->queue.bytes, right = (*(struct client *const *)b)->queue.bytes;

	return (left < right) - (left > right);
}

void clients_relieve(struct hub *hub, struct client **clients, size_t count, uint64_t target)
{
	qsort(clients, count, sizeof *clients, longest_first);
	for (size_t i = 0; i < count && hub->pool.bytes > target; i++) {
		metric_add(ws_queue_relieved, 1);
		client_stuck(clients[i]);
	}
}

void client_drained(struct client *client)
{
	struct member *next = NULL;

	client->flags &= ~CLIENT_CATCHING;
	for (struct member *member = client->members; member != NULL; member = next) {
		next = member->next;
		if (member->catchup == NULL)
			continue;
		client->flags |= CLIENT_CATCHING;
		catchup_pump(member); /* clears it again when the last one is done */
		if (client->state != CLIENT_READY)
			return;
	}
}

/* Out of every stream, wish and list of presence. */
static void leave_everything(struct client *client)
{
	struct hub *hub = client->hub;

	subscribe_drop(client);
	slots_leave(client);
	if (client->dialect != NULL && client->dialect->left != NULL)
		client->dialect->left(client);
	while (client->members != NULL)
		member_remove(client->members);
	if (client->asking != NULL) {
		((struct token_question *)client->asking)->client = NULL;
		client->asking = NULL;
	}
	if (client->counted) {
		client->counted = false;
		limits_account_leave(hub->options.limits, client->user->id);
	}
	wheel_stop(&hub->wheel, &client->retry);
	token_forget(client);
	free(client->wanted);
	client->wanted = NULL;
	if (client->flags & CLIENT_PRESENT) {
		client->flags &= ~CLIENT_PRESENT;
		hub->options.ports->presence_closed(hub->options.arg, client);
	}
}

/* code: the peer's own, 0: the reason's. */
static void close_with(struct client *client, enum close_reason reason, uint16_t code, bool discard)
{
	struct hub *hub = client->hub;

	if (client->state >= CLIENT_CLOSING)
		return;
	log_info("socket_closed", LOG_U64("socket", client->socket_id),
		LOG_ID("user", client->user != NULL ? client->user->id : 0),
		LOG_STR("why", close_reason_name(reason)));
	metric_add(ws_closed, 1);
	if (client->state == CLIENT_READY)
		metric_add(ws_sockets, -1);
	else
		metric_add(ws_unauthenticated, -1);
	client->close_reason = (uint8_t)reason;
	state_set(client, CLIENT_CLOSING);
	leave_everything(client);
	if (discard)
		queue_clear(&hub->pool, &client->queue, true);
	client->timer.fire = closing_is_over;
	wheel_start(&hub->wheel, &client->timer, hub->now_mono_ms + CLOSE_WAIT_MS);
	if (client->door == DOOR_CLOSED) {
		client->door = DOOR_REFUSING;
		mark(client, false);
		return;
	}
	struct frame *frame = code != 0 ? frame_make_close(code, NULL)
					: frame_make_close(client->dialect->close_code(reason), close_reason_text(reason));
	queue_push(&hub->pool, &client->queue, frame, UINT32_MAX);
	frame_unref(frame);
	mark(client, false);
}

void client_close(struct client *client, enum close_reason reason, bool discard)
{
	close_with(client, reason, 0, discard);
}

void client_send_away(struct client *client, enum close_reason reason, uint32_t most_after_ms)
{
	struct hub *hub = client->hub;

	if (client->state == CLIENT_READY)
		client->dialect->reconnect(
			client, hub->options.ports->random(hub->options.arg, most_after_ms + 1));
	client_close(client, reason, false);
}

void client_end(struct client *client)
{
	struct hub *hub = client->hub;

	if (client->state == CLIENT_ENDED)
		return;
	if (client->state < CLIENT_CLOSING) {
		log_info("socket_closed", LOG_U64("socket", client->socket_id),
			LOG_ID("user", client->user != NULL ? client->user->id : 0),
			LOG_STR("why", close_reason_name(client->close_reason == 0
								 ? CLOSE_GONE
								 : (enum close_reason)client->close_reason)));
		metric_add(ws_closed, 1);
		if (client->state == CLIENT_READY)
			metric_add(ws_sockets, -1);
		else
			metric_add(ws_unauthenticated, -1);
		leave_everything(client);
	}
	state_set(client, CLIENT_ENDED);
	user_leave(client);
	wheel_stop(&hub->wheel, &client->timer);
	queue_clear(&hub->pool, &client->queue, false);
	free(client->recent);
	client->recent = NULL;
	free(client->session);
	client->session = NULL;
	*client->link = client->next;
	if (client->next != NULL)
		client->next->link = client->link;
	hub->client_count--;
	table_remove(&hub->sockets, client->socket_id);
	client_list_add(&hub->ended, client);
}

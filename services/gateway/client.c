/*
 * client - see client.h.
 */
#include "services/gateway/client_parts.h"

#include <sodium.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/limits.h"
#include "services/gateway/memory.h"
#include "services/gateway/slots.h"
#include "services/gateway/subscribe.h"
#include "services/gateway/whereabouts.h"

#define CLOSE_WAIT_MS 2000 /* for the peer's answer to our close frame */
#define TOKEN_MOST    512

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

void client_state_set(struct client *client, enum client_state state)
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

void client_ready(struct client *client)
{
	struct hub *hub = client->hub;

	client_state_set(client, CLIENT_READY);
	client->timer.fire = heartbeat;
	/* Spread, so that those who connected together are not all served in one turn. */
	uint32_t first = hub->options.heartbeat_ms / 2 +
			 hub->options.ports->random(hub->options.arg, hub->options.heartbeat_ms / 2 + 1);
	beat_in(client, first);
	metric_add(ws_unauthenticated, -1);
	metric_add(ws_sockets, 1);
}

/* ---- the beginning */

void client_begin(struct hub *hub, struct client *client, uint64_t socket_id)
{
	*client = (struct client){.hub = hub,
		.socket_id = socket_id,
		.state = CLIENT_CONNECTING,
		.heard_at_ms = hub->now_mono_ms,
		.timer.fire = authentication_is_late,
		.retry.fire = client_token_retry};
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
	client_mark(client, false);
	whereabouts_want(client);
}

void client_refused(struct client *client)
{
	struct hub *hub = client->hub;

	client->timer.fire = closing_is_over;
	wheel_start(&hub->wheel, &client->timer, hub->now_mono_ms + CLOSE_WAIT_MS);
}

/* ---- the end */

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
	client_token_drop(client);
	if (client->counted) {
		client->counted = false;
		limits_account_leave(hub->options.limits, client->user->id);
	}
	free(client->wanted);
	client->wanted = NULL;
	if (client->flags & CLIENT_PRESENT) {
		client->flags &= ~CLIENT_PRESENT;
		hub->options.ports->presence_closed(hub->options.arg, client);
	}
}

static void closed_tell(const struct client *client, enum close_reason reason)
{
	log_info("socket_closed", LOG_U64("socket", client->socket_id),
		LOG_ID("user", client->user != NULL ? client->user->id : 0),
		LOG_STR("why", close_reason_name(reason)));
	metric_add(ws_closed, 1);
	if (client->state == CLIENT_READY)
		metric_add(ws_sockets, -1);
	else
		metric_add(ws_unauthenticated, -1);
}

/* code: the peer's own, 0: the reason's. */
static void close_with(struct client *client, enum close_reason reason, uint16_t code, bool discard)
{
	struct hub *hub = client->hub;

	if (client->state >= CLIENT_CLOSING)
		return;
	closed_tell(client, reason);
	client->close_reason = (uint8_t)reason;
	client_state_set(client, CLIENT_CLOSING);
	leave_everything(client);
	if (discard)
		queue_clear(&hub->pool, &client->queue, true);
	client->timer.fire = closing_is_over;
	wheel_start(&hub->wheel, &client->timer, hub->now_mono_ms + CLOSE_WAIT_MS);
	if (client->door == DOOR_CLOSED) {
		client->door = DOOR_REFUSING;
		client_mark(client, false);
		return;
	}
	struct frame *frame = code != 0 ? frame_make_close(code, NULL)
					: frame_make_close(client->dialect->close_code(reason), close_reason_text(reason));
	queue_push(&hub->pool, &client->queue, frame, UINT32_MAX);
	frame_unref(frame);
	client_mark(client, false);
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
		closed_tell(client, client->close_reason == 0 ? CLOSE_GONE : (enum close_reason)client->close_reason);
		leave_everything(client);
	}
	client_state_set(client, CLIENT_ENDED);
	client_user_leave(client);
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

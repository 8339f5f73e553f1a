/*
 * dialects/crust - see crust.h.
 */
#include "services/gateway/dialects/crust.h"

#include <stdlib.h>
#include <string.h>

#include "common/dialects/crust/events.h"
#include "common/http/page.h"
#include "services/gateway/client.h"
#include "services/gateway/dialects/crust_beat.h"
#include "services/gateway/memory.h"
#include "services/gateway/slots.h"
#include "services/gateway/subscribe.h"

/* ---- the door */

/* With and without the slash; at the root of the host where the dialect has one of its own. */
static bool crust_accepts(const char *path)
{
	static const char *const paths[] = {"/crust/websocket/", "/crust/websocket", "/websocket/", "/websocket"};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (strcmp(path, paths[i]) == 0)
			return true;
	return false;
}

/* ?jwt=, then Bearer, then the cookie, of the host's own pages alone: the first that is not empty. */
static bool crust_connected(
	struct client *client, const struct handshake *hs, char *token, size_t size, bool *out_present)
{
	const char *bearer = handshake_bearer(hs);
	bool present = false;

	client->flags |= CLIENT_PLAIN; /* this API knows no compression */
	*token = '\0';
	if (!handshake_query(hs, "jwt", token, size, &present))
		*token = '\0';
	if (*token == '\0' && bearer != NULL && strlen(bearer) < size)
		strcpy(token, bearer);
	if (*token == '\0' && (!page_is_own(hs->origin, NULL, hs->host) || !handshake_cookie(hs, "jwt", token, size)))
		*token = '\0';
	*out_present = *token != '\0';
	return true;
}

static size_t crust_refusal(enum close_reason reason, char *out, size_t size)
{
	switch (reason) {
	case CLOSE_BAD_TOKEN:
	case CLOSE_DISABLED:
	case CLOSE_TOKEN_CHANGED:
		return handshake_answer(200, "OK", "application/json", "{\"error\":{\"message\":\"Unauthorized\"}}", out, size);
	case CLOSE_NO_ACCESS:
	case CLOSE_NO_SCOPE:
		return handshake_answer(403, "Forbidden", "text/plain; charset=utf-8", "Forbidden", out, size);
	case CLOSE_TOO_MANY_SOCKETS:
	case CLOSE_TOO_MANY_OPS:
		return handshake_refuse(429, out, size);
	case CLOSE_PROTOCOL:
	case CLOSE_BINARY:
	case CLOSE_BAD_TEXT:
	case CLOSE_TOO_BIG:
	case CLOSE_MALFORMED:
		return handshake_refuse(400, out, size);
	case CLOSE_NORMAL:
	case CLOSE_LEAVING:
	case CLOSE_SILENT:
	case CLOSE_SLOW_READER:
	case CLOSE_MISSED:
	case CLOSE_UNAVAILABLE:
	case CLOSE_GONE:
	case CLOSE_COUNT:
		break;
	}
	return handshake_refuse(503, out, size);
}

static void marks_are_here(struct client *client, enum status st)
{
	if (st != STATUS_OK) {
		client_close(client, CLOSE_UNAVAILABLE, true);
		return;
	}
	client_admit(client);
	crust_beat_join(client);
}

static void crust_subscribed(struct client *client, struct subscribe *sub)
{
	for (size_t i = 0; i < sub->topic_count; i++) {
		const struct topic_wish *wish = &sub->topics[i];
		if (wish->status == STATUS_OK)
			continue;
		client_close(client, wish->status == STATUS_NOT_FOUND ? CLOSE_NO_ACCESS : CLOSE_UNAVAILABLE, true);
		return;
	}
	slots_want(client, marks_are_here);
}

/* Everything of the team that its user can see, and everything that is his own. */
static void see_everything(struct client *client)
{
	const struct crust_session *session = client->session;
	struct subscribe *sub = subscribe_create(client);

	sub->topics = ARENA_ARRAY(sub->mem, 2, struct topic_wish);
	sub->topics[sub->topic_count++] = (struct topic_wish){
		.text = "team", .kind = TOPIC_KIND_TEAM, .id = session->team_id, .status = STATUS_OK};
	sub->topics[sub->topic_count++] = (struct topic_wish){
		.text = "user", .kind = TOPIC_KIND_USER, .id = client->user->id, .status = STATUS_OK};
	subscribe_submit(sub);
}

struct mount_question {
	struct question question;
	uint64_t socket_id;
};

static void mount_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct mount_question *asked = (struct mount_question *)question;
	struct client *client = table_get(&hub->sockets, asked->socket_id);
	const pb_MountTeamReply *got = reply;

	free(asked);
	if (client == NULL || client->state != CLIENT_READY)
		return;
	switch ((int)st) {
	case STATUS_OK: {
		struct crust_session *session = client->session;
		session->team_id = client->served_team = got->team.id;
		client->served_kinds = 1u << CHANNEL_TEXT | 1u << CHANNEL_DIRECT | 1u << CHANNEL_GROUP;
		see_everything(client);
		return;
	}
	case STATUS_NO_ACCESS:
	case STATUS_FORBIDDEN:
	case STATUS_NOT_FOUND:
		client_close(client, CLOSE_NO_ACCESS, true);
		return;
	case STATUS_UNAUTHENTICATED:
	case STATUS_STALE:
		client_close(client, CLOSE_BAD_TOKEN, true);
		return;
	default:
		client_close(client, CLOSE_UNAVAILABLE, true);
		return;
	}
}

/* Who it is is known; whether he may come in is the owner's to say, who may make him a member. */
static void crust_authenticated(struct client *client)
{
	struct hub *hub = client->hub;
	struct crust_session *session = memory_new(sizeof *session);
	struct mount_question *asked = memory_new(sizeof *asked);
	pb_MountTeamRequest request = {.dialect = DIALECT_CRUST, .join = true};

	*session = (struct crust_session){.client = client};
	client->session = session;
	*asked = (struct mount_question){.question.answered = mount_answered, .socket_id = client->socket_id};
	hub->options.ports->ask_act(
		hub->options.arg, hub_ask(hub, &asked->question), client, ACT_get_mount_team, &request);
}

static void crust_left(struct client *client)
{
	if (client->session != NULL)
		crust_beat_leave(client);
}

/* ---- events */

/* Is it the end for whom it concerns? */
static bool ends(const pb_Event *body)
{
	return body->which_body == EVENT_KIND_team_deleted || body->which_body == EVENT_KIND_member_removed;
}

static bool crust_place(const struct logged_event *ev, const pb_Event *body, struct placement *out)
{
	struct crust_place place;

	*out = (struct placement){.whole = true};
	if (ends(body))
		return true;
	if (!crust_event_shown(body, &place))
		return false;
	out->channel_id = place.channel_id;
	return true;
}

static void crust_render(struct texts *out, const struct logged_event *ev, const pb_Event *body, unsigned variant)
{
	crust_event_shared(out, body);
}

static uint64_t crust_asks(const struct logged_event *ev, const pb_Event *body)
{
	return crust_event_asks(body);
}

static struct crust_reader reader_of(const struct receiver *r, const pb_Event *body)
{
	struct crust_reader reader = {.user_id = r->user_id};
	const struct slot_thread *thread = slot_thread(r->slot, crust_event_thread(body));

	if (r->rights != NULL) {
		reader.viewing = r->rights->status == STATUS_OK;
		reader.bits = r->rights->bits;
		reader.channel = slots_channel(r->asked);
		reader.member_ids = slots_members(r->asked, &reader.member_count);
		reader.unlisted = r->rights->unlisted != 0;
	}
	if (r->slot != NULL) {
		reader.recorded = r->slot->recorded;
		reader.flag = r->slot->flag;
		reader.last_read_id = r->slot->last_read_id;
		reader.unread = slot_unread(r->slot);
		reader.thread_count = r->slot->thread_count;
		reader.thread_total = r->slot->thread_total;
	}
	if (thread != NULL) {
		reader.thread_unread = slot_thread_unread(thread);
		reader.thread_last_read_id = thread->last_read_id;
	}
	return reader;
}

static enum share end_for(const struct client *client, const pb_Event *body)
{
	const struct crust_session *session = client->session;
	const pb_MemberView *member = &body->body.member_removed.member;

	if (body->which_body == EVENT_KIND_team_deleted)
		return body->body.team_deleted.team_id == session->team_id ? SHARE_END : SHARE_SKIP;
	return member->team_id == session->team_id && member->user.id == client->user->id ? SHARE_END : SHARE_SKIP;
}

static enum share crust_share(
	const struct client *client, const struct receiver *receiver, const struct logged_event *ev, const pb_Event *body)
{
	const struct crust_session *session = client->session;
	struct crust_reader reader = reader_of(receiver, body);
	struct crust_place place;

	if (session == NULL)
		return SHARE_SKIP; /* nothing is shown to it yet */
	if (ends(body))
		return end_for(client, body);
	/* In his own stream he is told of other teams as well: they do not exist here. */
	if (!crust_event_shown(body, &place) || (place.team_id != 0 && place.team_id != session->team_id))
		return SHARE_SKIP;
	switch (crust_event_share(body, &reader)) {
	case CRUST_SHARE_ALL:
		return SHARE_ALL;
	case CRUST_SHARE_REST:
		return SHARE_REST;
	case CRUST_SHARE_NONE:
		return SHARE_NONE;
	case CRUST_SHARE_SKIP:
		break;
	}
	return SHARE_SKIP;
}

static void crust_own(struct texts *out, const struct client *client, const struct receiver *receiver,
	const struct logged_event *ev, const pb_Event *body)
{
	struct crust_reader reader = reader_of(receiver, body);

	crust_event_own(out, body, &reader);
}

/* There are no positions here, and no word for a planned close: clients come back by themselves. */
static void crust_position(struct client *client, const char *generation, const struct stream *streams,
	const uint64_t *seqs, size_t count)
{
}

static void crust_reconnect(struct client *client, uint32_t after_ms)
{
}

static uint16_t crust_close_code(enum close_reason reason)
{
	static const uint16_t codes[] = {
#define CLOSE(reason, house, crust, text) crust,
#include "services/gateway/close.tbl.h"
#undef CLOSE
	};
	return codes[reason];
}

const struct dialect_table dialect_crust = {
	.id = DIALECT_CRUST,
	.name = "crust",
	.accepts = crust_accepts,
	.connected = crust_connected,
	.authenticated = crust_authenticated,
	.left = crust_left,
	.message = crust_message_came,
	.place = crust_place,
	.render = crust_render,
	.share = crust_share,
	.own = crust_own,
	.asks = crust_asks,
	.sight = true,
	.subscribed = crust_subscribed,
	.position = crust_position,
	.reconnect = crust_reconnect,
	.close_code = crust_close_code,
	.refusal = crust_refusal,
};

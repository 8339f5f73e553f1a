/*
 * typing - see typing.h.
 */
#include "services/gateway/typing.h"

#include <stdlib.h>
#include <string.h>

#include "services/gateway/memory.h"
#include "services/gateway/stream.h"

#define JUDGED_MS 2000
#define PAUSE_MS  3000
#define KEPT_MOST 16 /* channels of one user */

/* What is known of one user in one channel. */
struct typing {
	struct typing *next;
	uint64_t channel_id;
	int64_t judged_at_ms; /* when the judgement was asked for; 0: not yet */
	int64_t told_at_ms;
	bool told; /* the last notice said "is typing" */
	struct stream stream;
	uint64_t team_id;
	uint32_t kind;
	bool is_private;
	char audience[AUDIENCE_SIZE];
	char *name;
};

struct typing_question {
	struct question question;
	uint64_t socket_id, channel_id;
	int64_t asked_at_ms;
	bool is_typing;
	void (*refused)(struct client *client, enum status st, void *arg);
	void (*release)(void *arg);
	void *arg;
};

static void typing_free(struct typing *typing)
{
	free(typing->name);
	free(typing);
}

void typing_forget(struct user *user)
{
	while (user->typing != NULL) {
		struct typing *next = user->typing->next;
		typing_free(user->typing);
		user->typing = next;
	}
}

/* Moves to the front; the ones not used for long fall off the end. */
static struct typing *typing_get(struct user *user, uint64_t channel_id)
{
	struct typing **link = &user->typing;
	size_t place = 0;

	while (*link != NULL && (*link)->channel_id != channel_id && place + 1 < KEPT_MOST) {
		link = &(*link)->next;
		place++;
	}
	struct typing *typing = *link;
	if (typing != NULL && typing->channel_id == channel_id) {
		*link = typing->next;
	} else {
		if (typing != NULL) { /* the oldest */
			*link = typing->next;
			typing_free(typing);
		}
		typing = memory_new(sizeof *typing);
		typing->channel_id = channel_id;
	}
	typing->next = user->typing;
	user->typing = typing;
	return typing;
}

static void told_presence(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	free(question); /* nobody waits: the notice is gone in 6 s anyway */
}

static void tell(struct client *client, struct typing *typing, bool is_typing)
{
	struct hub *hub = client->hub;
	bool soon = typing->told_at_ms != 0 && hub->now_mono_ms - typing->told_at_ms < PAUSE_MS;

	/* Of starting, one in 3 s; of stopping, one for each start. */
	if (is_typing ? soon && typing->told : !typing->told)
		return;
	if (is_typing && soon)
		return;
	if (is_typing)
		typing->told_at_ms = hub->now_mono_ms;
	typing->told = is_typing;
	pb_SetTypingRequest request = {
		.has_channel = true,
		.channel = {.id = typing->channel_id,
			.team_id = typing->team_id,
			.kind = typing->kind,
			.name = typing->name,
			.private = typing->is_private},
		.has_target = true,
		.target = {.rank = typing->stream.rank,
			.stream_id = typing->stream.id,
			.audience = typing->audience},
		.is_typing = is_typing,
	};
	struct question *asked = memory_new(sizeof *asked);
	asked->answered = told_presence;
	hub->options.ports->ask_typing(hub->options.arg, hub_ask(hub, asked), client, &request);
}

static enum status judge(struct typing *typing, const pb_JudgeManyReply *got)
{
	const pb_Rights *rights = got->rights_count > 0 ? &got->rights[0] : NULL;

	if (rights == NULL || rights->channel_id != typing->channel_id || rights->audience == NULL ||
		strlen(rights->audience) >= AUDIENCE_SIZE)
		return STATUS_NOT_FOUND;
	enum status st = status_from_number(rights->status);
	if (st != STATUS_OK)
		return st;
	struct bits bits =
		rights->has_bits ? (struct bits){rights->bits.low, rights->bits.high} : (struct bits){0};
	if (!rights->has_channel || !bits_has(bits, channel_kind_view(rights->channel.kind)))
		return STATUS_NOT_FOUND;
	if (!bits_has(bits, rights->channel.kind == CHANNEL_THREAD ? PERMISSION_send_in_threads
								   : PERMISSION_send_messages))
		return STATUS_FORBIDDEN;
	typing->stream = (struct stream){rights->rank, rights->stream_id};
	typing->team_id = rights->channel.team_id;
	typing->kind = rights->channel.kind;
	typing->is_private = rights->channel.private;
	strcpy(typing->audience, rights->audience);
	free(typing->name);
	typing->name = memory_text(rights->channel.name != NULL ? rights->channel.name : "");
	return STATUS_OK;
}

static void judged(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct typing_question *asked = (struct typing_question *)question;
	struct client *client = table_get(&hub->sockets, asked->socket_id);

	if (client != NULL && client->state == CLIENT_READY) {
		struct typing *typing = typing_get(client->user, asked->channel_id);
		if (st == STATUS_OK)
			st = judge(typing, reply);
		typing->judged_at_ms = st == STATUS_OK ? asked->asked_at_ms : 0;
		if (st == STATUS_OK)
			tell(client, typing, asked->is_typing);
		else
			asked->refused(client, st == STATUS_LATE || st == STATUS_INTERNAL ? STATUS_BUSY : st,
				asked->arg);
	}
	asked->release(asked->arg);
	free(asked);
}

/* A judgement holds for a moment, but not past a change of rights: the channel may be hidden from some by now. */
static bool judgement_holds(struct hub *hub, const struct typing *typing)
{
	const struct feed *feed = typing->judged_at_ms != 0 ? feed_find(hub, typing->stream) : NULL;

	return typing->judged_at_ms != 0 && hub->now_mono_ms - typing->judged_at_ms < JUDGED_MS &&
	       (feed == NULL || feed->rights_at_ms < typing->judged_at_ms);
}

void typing_set(struct client *client, uint64_t channel_id, bool is_typing,
	void (*refused)(struct client *client, enum status st, void *arg), void (*release)(void *arg),
	void *arg)
{
	struct hub *hub = client->hub;
	struct typing *typing = typing_get(client->user, channel_id);

	if (judgement_holds(hub, typing)) {
		tell(client, typing, is_typing);
		release(arg);
		return;
	}
	/* What presence would not be told anyway needs no judgement. */
	if (is_typing && typing->told && hub->now_mono_ms - typing->told_at_ms < PAUSE_MS) {
		release(arg);
		return;
	}
	struct typing_question *asked = memory_new(sizeof *asked);
	*asked = (struct typing_question){.question.answered = judged,
		.socket_id = client->socket_id,
		.channel_id = channel_id,
		.asked_at_ms = hub->now_mono_ms,
		.is_typing = is_typing,
		.refused = refused,
		.release = release,
		.arg = arg};
	hub->options.ports->ask_rights(
		hub->options.arg, hub_ask(hub, &asked->question), client->user->id, &channel_id, 1);
}

/*
 * whereabouts - see whereabouts.h.
 */
#include "services/gateway/whereabouts.h"

#include <stdlib.h>
#include <string.h>

#include "services/gateway/memory.h"

#define USERS_AT_ONCE 256
#define RETRY_MS      1000

/* One client that is waited for; it may go meanwhile. */
struct whereabouts {
	struct whereabouts *next;
	uint64_t socket_id, user_id;
};

struct whereabouts_question {
	struct question question;
	struct whereabouts *wanted;
};

void whereabouts_want(struct client *client)
{
	struct hub *hub = client->hub;
	struct whereabouts *wanted = memory_new(sizeof *wanted);

	*wanted = (struct whereabouts){
		.next = hub->whereabouts, .socket_id = client->socket_id, .user_id = client->user->id};
	hub->whereabouts = wanted;
}

static void tell(struct client *client, const pb_TeamIdsOf *places)
{
	const struct hub_options *options = &client->hub->options;
	bool first = (client->flags & CLIENT_PRESENT) == 0;

	client->flags |= CLIENT_PRESENT;
	(first ? options->ports->presence_opened : options->ports->presence_changed)(
		options->arg, client, places);
}

static void retry(struct timer *timer, int64_t now_mono_ms)
{
	memory_holder(timer, struct hub, whereabouts_retry)->whereabouts_asked = false;
}

static void answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct whereabouts_question *asked = (struct whereabouts_question *)question;
	const pb_TeamIdsReply *got = reply;
	struct table by_user = {0};

	for (pb_size_t i = 0; st == STATUS_OK && i < got->users_count; i++)
		table_put(&by_user, got->users[i].user_id, &got->users[i]);
	while (asked->wanted != NULL) {
		struct whereabouts *wanted = asked->wanted;
		struct client *client = table_get(&hub->sockets, wanted->socket_id);
		asked->wanted = wanted->next;
		if (client == NULL || client->state != CLIENT_READY) {
			free(wanted);
			continue;
		}
		/* Without an answer it is there all the same, if only for itself at first. */
		if (st == STATUS_OK || (client->flags & CLIENT_PRESENT) == 0)
			tell(client, table_get(&by_user, wanted->user_id));
		if (st == STATUS_OK) {
			free(wanted);
			continue;
		}
		wanted->next = hub->whereabouts;
		hub->whereabouts = wanted;
	}
	table_finish(&by_user);
	free(asked);
	hub->whereabouts_asked = st != STATUS_OK;
	hub->whereabouts_retry.fire = retry;
	if (st != STATUS_OK)
		wheel_start(&hub->wheel, &hub->whereabouts_retry, hub->now_mono_ms + RETRY_MS);
}

void whereabouts_flush(struct hub *hub)
{
	uint64_t users[USERS_AT_ONCE];
	size_t count = 0;

	if (hub->whereabouts == NULL || hub->whereabouts_asked)
		return;
	struct whereabouts_question *asked = memory_new(sizeof *asked);
	asked->question.answered = answered;
	while (hub->whereabouts != NULL && count < USERS_AT_ONCE) {
		struct whereabouts *wanted = hub->whereabouts;
		hub->whereabouts = wanted->next;
		wanted->next = asked->wanted;
		asked->wanted = wanted;
		/* One person's clients are one question: doubles would be answered double. */
		bool seen = false;
		for (size_t i = 0; i < count && !seen; i++)
			seen = users[i] == wanted->user_id;
		if (!seen)
			users[count++] = wanted->user_id;
	}
	hub->whereabouts_asked = true;
	hub->options.ports->ask_teams(hub->options.arg, hub_ask(hub, &asked->question), users, count);
}

void whereabouts_finish(struct hub *hub)
{
	while (hub->whereabouts != NULL) {
		struct whereabouts *next = hub->whereabouts->next;
		free(hub->whereabouts);
		hub->whereabouts = next;
	}
}

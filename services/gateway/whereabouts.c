/*
 * whereabouts - see whereabouts.h.
 */
#include "services/gateway/whereabouts.h"

#include <stdlib.h>
#include <string.h>

#include "services/gateway/memory.h"

#define USERS_AT_ONCE 256

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

static void tell(
	struct hub *hub, const struct whereabouts *wanted, enum status st, const struct table *by_user)
{
	struct client *client = table_get(&hub->sockets, wanted->socket_id);
	const pb_TeamIdsOf *teams = table_get(by_user, wanted->user_id);

	if (client == NULL || client->state != CLIENT_READY)
		return;
	bool first = (client->flags & CLIENT_PRESENT) == 0;
	/* Without an answer it is still there, if only for itself; the next change of its teams asks again.
	 */
	if (st != STATUS_OK && !first)
		return;
	client->flags |= CLIENT_PRESENT;
	(first ? hub->options.ports->presence_opened : hub->options.ports->presence_changed)(hub->options.arg,
		client, teams != NULL ? teams->team_ids : NULL, teams != NULL ? teams->team_ids_count : 0);
}

static void answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct whereabouts_question *asked = (struct whereabouts_question *)question;
	const pb_TeamIdsReply *got = reply;
	struct table by_user = {0};

	hub->whereabouts_asked = false;
	for (pb_size_t i = 0; st == STATUS_OK && i < got->users_count; i++)
		table_put(&by_user, got->users[i].user_id, &got->users[i]);
	while (asked->wanted != NULL) {
		struct whereabouts *wanted = asked->wanted;
		asked->wanted = wanted->next;
		tell(hub, wanted, st, &by_user);
		free(wanted);
	}
	table_finish(&by_user);
	free(asked);
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

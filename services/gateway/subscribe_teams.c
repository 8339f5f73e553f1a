/*
 * subscribe_teams - see subscribe_parts.h: wishes that look everywhere. Those of one turn are asked about together, a few questions at
 * a time.
 */
#include "services/gateway/subscribe_parts.h"

#include <stdlib.h>
#include <string.h>

#include "services/gateway/memory.h"

#define RETRY_MS      100
#define USERS_AT_ONCE 32 /* whose keys in all their teams are asked for in one question */
#define TEAMS_FLIGHT  4  /* such questions at a time */

/* Wishes that want all teams or conversations of their users. */
struct teams_ask {
	struct teams_ask *next;
	struct subscribe *sub; /* NULL: it went */
	uint64_t user;
	struct timer retry;
	struct hub *hub;
	bool queued; /* in hub->unasked_teams */
	bool alone;  /* together with others it was too much */
	uint64_t all; /* ALL_... */
};

struct teams_question {
	struct question question;
	struct teams_ask *asks;
};

static void teams_ask_queue(struct teams_ask *ask)
{
	struct hub *hub = ask->hub;

	ask->queued = true;
	ask->next = NULL;
	*hub->unasked_teams_end = ask;
	hub->unasked_teams_end = &ask->next;
}

static void teams_retry(struct timer *timer, int64_t now_mono_ms)
{
	teams_ask_queue(memory_holder(timer, struct teams_ask, retry));
}

void subscribe_teams_begin(struct subscribe *sub)
{
	struct teams_ask *ask = memory_new(sizeof *ask);

	*ask = (struct teams_ask){.sub = sub,
		.user = sub->client->user->id,
		.retry.fire = teams_retry,
		.hub = sub->client->hub,
		.all = (sub->wants_teams ? ALL_TEAMS : 0) | (sub->wants_direct ? ALL_CONVERSATIONS : 0)};
	sub->asking_teams = ask;
	sub->outstanding++;
	teams_ask_queue(ask);
}

static bool answer_is_conversation(const pb_ListAudiencesReply *got, const pb_AudienceAnswer *answer)
{
	static const char prefix[] = "conversation:";
	const pb_KeySet *set = answer->key_set < got->key_sets_count ? &got->key_sets[answer->key_set] : NULL;

	return set != NULL && set->keys_count > 0 && strncmp(set->keys[0], prefix, sizeof prefix - 1) == 0;
}

/* One wish's part of the answer. */
static void teams_take(struct subscribe *sub, uint64_t user, uint64_t all, const pb_ListAudiencesReply *got)
{
	struct hub *hub = sub->client->hub;

	for (pb_size_t i = 0; i < got->answers_count; i++) {
		const pb_AudienceAnswer *answer = &got->answers[i];
		struct stream s = {answer->rank, answer->stream_id};
		struct member *member = NULL;
		uint64_t kind = answer_is_conversation(got, answer) ? ALL_CONVERSATIONS : ALL_TEAMS;
		if (answer->user_id != user || answer->rank != RANK_TEAM || !answer->member ||
			(all & kind) == 0)
			continue;
		subscribe_want(sub, s, OPEN_ANSWERED, &member);
		subscribe_answer(sub, s)->sought = kind;
		if (member == NULL)
			continue;
		struct key_set *keys = open_keys_of(feed_get(hub, s), got, answer);
		if (keys != NULL)
			opening_answer(member->opening, keys, answer->as_of, answer->unchanged_since);
		else
			opening_refuse(member->opening, STATUS_NOT_FOUND);
	}
}

/* Answered, or given up. */
static void teams_done(struct teams_ask *ask, enum status st, const pb_ListAudiencesReply *got)
{
	struct subscribe *sub = ask->sub;

	sub->asking_teams = NULL;
	sub->outstanding--;
	sub->working = true;
	if (st != STATUS_OK)
		subscribe_refuse_topics(sub, ask->all, STATUS_BUSY);
	else
		teams_take(sub, ask->user, ask->all, got);
	sub->working = false;
	free(ask);
	subscribe_advance(sub);
}

static struct teams_ask *teams_pop(struct hub *hub)
{
	struct teams_ask *ask = hub->unasked_teams;

	hub->unasked_teams = ask->next;
	if (hub->unasked_teams == NULL)
		hub->unasked_teams_end = &hub->unasked_teams;
	ask->queued = false;
	return ask;
}

/* Whose turn does not come in time is refused. The first has waited longest. */
static bool teams_overdue(const struct hub *hub)
{
	const struct teams_ask *first = hub->unasked_teams;

	return first != NULL && first->sub != NULL && hub->now_mono_ms >= first->sub->give_up_at_ms;
}

static void teams_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct teams_question *asked = (struct teams_question *)question;
	const pb_ListAudiencesReply *got = reply;
	struct teams_ask *next = NULL;

	hub->teams_in_flight--;
	if (st == STATUS_OK && !open_generation_fits(hub, got->generation))
		st = STATUS_BUSY;
	for (struct teams_ask *ask = asked->asks; ask != NULL; ask = next) {
		struct subscribe *sub = ask->sub;
		next = ask->next;
		if (sub == NULL) {
			free(ask);
			continue;
		}
		if (st != STATUS_OK && hub->now_mono_ms < sub->give_up_at_ms) {
			ask->alone = ask->alone || st == STATUS_TOO_LARGE;
			wheel_start(&hub->wheel, &ask->retry, hub->now_mono_ms + RETRY_MS);
			continue;
		}
		teams_done(ask, st, got);
	}
	free(asked);
}

/* Takes from the queue what one question can ask. Returns of how many users, and all: what their wishes look into. */
static size_t teams_gather(struct hub *hub, struct teams_question *asked, uint64_t users[USERS_AT_ONCE], uint64_t *all)
{
	size_t count = 0;

	while (hub->unasked_teams != NULL && count < USERS_AT_ONCE) {
		struct teams_ask *ask = hub->unasked_teams;
		if (count > 0 && (ask->alone || asked->asks->alone) && ask->sub != NULL)
			break;
		teams_pop(hub);
		if (ask->sub == NULL) {
			free(ask);
			continue;
		}
		ask->next = asked->asks;
		asked->asks = ask;
		*all |= ask->all;
		bool seen = false;
		for (size_t i = 0; i < count && !seen; i++)
			seen = users[i] == ask->user;
		if (!seen)
			users[count++] = ask->user;
	}
	return count;
}

void subscribe_teams_flush(struct hub *hub)
{
	while (hub->teams_in_flight == TEAMS_FLIGHT && teams_overdue(hub))
		teams_done(teams_pop(hub), STATUS_BUSY, NULL);
	while (hub->unasked_teams != NULL && hub->teams_in_flight < TEAMS_FLIGHT) {
		struct teams_question *asked = memory_new(sizeof *asked);
		uint64_t users[USERS_AT_ONCE], all = 0;
		asked->question.answered = teams_answered;
		size_t count = teams_gather(hub, asked, users, &all);
		if (count == 0) {
			free(asked);
			return;
		}
		hub->teams_in_flight++;
		hub->options.ports->ask_keys(
			hub->options.arg, hub_ask(hub, &asked->question), STREAMS_OF(all), users, count);
	}
}

void subscribe_teams_drop(struct subscribe *sub)
{
	struct teams_ask *ask = sub->asking_teams;

	if (ask == NULL)
		return;
	ask->sub = NULL;
	if (timer_running(&ask->retry)) {
		wheel_stop(&ask->hub->wheel, &ask->retry);
		free(ask);
	}
}

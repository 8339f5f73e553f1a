/*
 * judge - see judge.h.
 */
#include "services/gateway/judge.h"

#include <stdlib.h>

#include "services/gateway/memory.h"

#define RETRY_MS      100
#define JUDGES_FLIGHT 8 /* questions at a time */

struct rights_question {
	struct question question;
	struct rights_question *next; /* hub->unjudged */
	struct subscribe *sub; /* NULL: it went */
	struct timer retry;
	struct hub *hub;
	bool in_flight; /* or in hub->unjudged */
};

static void judge_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why);

/* Is moderation to be asked about this channel? */
static bool judge_wants(const struct subscribe *sub, const struct topic_wish *wish)
{
	return wish->kind == TOPIC_KIND_CHANNEL && wish->status == STATUS_OK && !wish->judged &&
	       (wish->stream.rank == 0 || sub->stage == SUBSCRIBE_JUDGING);
}

static size_t judge_ask(struct rights_question *judging)
{
	struct subscribe *sub = judging->sub;
	struct hub *hub = judging->hub;
	uint64_t *channels = ARENA_ARRAY(sub->mem, sub->topic_count, uint64_t);
	size_t count = 0;

	for (size_t i = 0; i < sub->topic_count; i++)
		if (judge_wants(sub, &sub->topics[i]))
			channels[count++] = sub->topics[i].id;
	if (count == 0)
		return 0;
	hub->judges_in_flight++;
	hub->options.ports->ask_rights(
		hub->options.arg, hub_ask(hub, &judging->question), sub->client->user->id, channels, count);
	return count;
}

/* Where the channels are may have been said to somebody else meanwhile. */
static void place_again(struct subscribe *sub)
{
	for (size_t i = 0; sub->stage == SUBSCRIBE_PLACING && i < sub->topic_count; i++) {
		struct topic_wish *wish = &sub->topics[i];
		const struct channel_fact *fact =
			wish->kind == TOPIC_KIND_CHANNEL ? channel_fact_get(sub->client->hub, wish->id) : NULL;
		if (fact != NULL && wish->status == STATUS_OK && !wish->judged && wish->stream.rank == 0)
			wish->stream = fact->stream;
	}
}

static void judge_finish(struct rights_question *judging, enum status st, const pb_JudgeManyReply *reply);

static struct rights_question *judge_pop(struct hub *hub)
{
	struct rights_question *judging = hub->unjudged;

	hub->unjudged = judging->next;
	if (hub->unjudged == NULL)
		hub->unjudged_end = &hub->unjudged;
	return judging;
}

/* Whose turn does not come in time is refused: moderation is slow, or does not answer. The first has waited longest. */
static bool judge_overdue(const struct hub *hub)
{
	const struct rights_question *first = hub->unjudged;

	return first != NULL && first->sub != NULL && hub->now_mono_ms >= first->sub->give_up_at_ms;
}

/* As many as may be asked at a time. */
void judge_flush(struct hub *hub)
{
	while (hub->judges_in_flight == JUDGES_FLIGHT && judge_overdue(hub))
		judge_finish(judge_pop(hub), STATUS_BUSY, NULL);
	while (hub->unjudged != NULL && hub->judges_in_flight < JUDGES_FLIGHT) {
		struct rights_question *judging = judge_pop(hub);
		if (judging->sub == NULL) {
			free(judging);
			continue;
		}
		place_again(judging->sub);
		if (judge_ask(judging) == 0)
			judge_finish(judging, STATUS_OK, NULL);
	}
}

static void judge_queue(struct rights_question *judging)
{
	struct hub *hub = judging->hub;

	judging->in_flight = true;
	judging->next = NULL;
	*hub->unjudged_end = judging;
	hub->unjudged_end = &judging->next;
}

static void judge_retry(struct timer *timer, int64_t now_mono_ms)
{
	judge_queue(memory_holder(timer, struct rights_question, retry));
}

/* Asks about the channels of which too little is known. */
void judge_begin(struct subscribe *sub)
{
	bool wanted = false;

	for (size_t i = 0; i < sub->topic_count && !wanted; i++)
		wanted = judge_wants(sub, &sub->topics[i]);
	if (!wanted)
		return;
	struct rights_question *judging = memory_new(sizeof *judging);
	*judging = (struct rights_question){.question.answered = judge_answered,
		.sub = sub,
		.retry.fire = judge_retry,
		.hub = sub->client->hub};
	sub->judging = judging;
	sub->outstanding++;
	judge_queue(judging);
}

static void judge_take(struct subscribe *sub, struct topic_wish *wish, const pb_JudgeManyReply *got)
{
	const pb_Rights *rights = NULL;

	for (pb_size_t i = 0; i < got->rights_count && rights == NULL; i++)
		if (got->rights[i].channel_id == wish->id)
			rights = &got->rights[i];
	wish->judged = true;
	struct bits bits = rights != NULL && rights->has_bits
				   ? (struct bits){rights->bits.low, rights->bits.high}
				   : (struct bits){0};
	uint32_t kind = rights != NULL && rights->has_channel ? rights->channel.kind : (uint32_t)CHANNEL_TEXT;
	if (rights == NULL || rights->rank != RANK_TEAM || status_from_number(rights->status) != STATUS_OK ||
		!bits_has(bits, channel_kind_view(kind))) {
		wish->status = STATUS_NOT_FOUND;
		return;
	}
	wish->stream = (struct stream){rights->rank, rights->stream_id};
	channel_fact_put(sub->client->hub, wish->id, wish->stream, rights->audience);
	const struct stream_answer *answer = subscribe_answer(sub, wish->stream);
	/* He got the key just now: the stream was begun without it, and what came since is not to be had. */
	if (answer != NULL && answer->fresh)
		wish->status = STATUS_BUSY;
}

static void judge_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct rights_question *judging = (struct rights_question *)question;
	struct subscribe *sub = judging->sub;

	judging->in_flight = false;
	hub->judges_in_flight--;
	if (sub == NULL) {
		free(judging);
		return;
	}
	if (st != STATUS_OK && hub->now_mono_ms < sub->give_up_at_ms) {
		wheel_start(&hub->wheel, &judging->retry, hub->now_mono_ms + RETRY_MS);
		return;
	}
	judge_finish(judging, st, reply);
}

static void judge_finish(struct rights_question *judging, enum status st, const pb_JudgeManyReply *reply)
{
	struct subscribe *sub = judging->sub;

	sub->judging = NULL;
	sub->outstanding--;
	sub->working = true;
	for (size_t i = 0; i < sub->topic_count; i++) {
		struct topic_wish *wish = &sub->topics[i];
		if (!judge_wants(sub, wish))
			continue;
		if (st == STATUS_OK)
			judge_take(sub, wish, reply);
		else
			wish->status = STATUS_BUSY;
	}
	sub->working = false;
	free(judging);
	subscribe_advance(sub);
}

void judge_drop(struct subscribe *sub)
{
	struct rights_question *judging = sub->judging;

	if (judging == NULL)
		return;
	wheel_stop(&judging->hub->wheel, &judging->retry);
	judging->sub = NULL;
	if (!judging->in_flight)
		free(judging);
}

void judge_finish_hub(struct hub *hub)
{
	while (hub->unjudged != NULL)
		free(judge_pop(hub));
}

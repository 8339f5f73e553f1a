/*
 * open_ask - see open_parts.h: what moderation is asked for openings, one question a stream, and what its answers say.
 */
#include "services/gateway/open_parts.h"

#include <stdlib.h>
#include <string.h>

#include "services/gateway/memory.h"

/* One question about the keys of several users in one stream. */
struct keys_question {
	struct question question;
	struct stream stream;
};

void open_unasked_add(struct feed *feed)
{
	if (feed->unasked)
		return;
	feed->unasked = true;
	feed->unasked_next = feed->hub->unasked;
	feed->hub->unasked = feed;
}

bool open_generation_fits(struct hub *hub, const char *generation)
{
	const char *ours = hub_generation(hub);

	return ours[0] == '\0' || generation == NULL || generation[0] == '\0' ||
	       strcmp(ours, generation) == 0;
}

bool open_mark_fits(struct hub *hub, uint64_t generation)
{
	const char *ours = hub_generation(hub);

	return ours[0] == '\0' || generation == 0 || generation_mark(ours) == generation;
}

struct key_set *open_keys_of(
	struct feed *feed, const pb_ListAudiencesReply *reply, const pb_AudienceAnswer *answer)
{
	if (!answer->member || answer->key_set >= reply->key_sets_count)
		return NULL;
	const pb_KeySet *shared = &reply->key_sets[answer->key_set];
	size_t most = (size_t)shared->keys_count + answer->gained_count, count = 0;
	uint32_t *numbers = memory_resize(NULL, (most + 1) * sizeof *numbers);

	for (pb_size_t i = 0; i < shared->keys_count; i++) {
		bool lost = false;
		for (pb_size_t j = 0; j < answer->lost_count && !lost; j++)
			lost = strcmp(answer->lost[j], shared->keys[i]) == 0;
		if (!lost)
			numbers[count++] = key_number(feed->keys, shared->keys[i]);
	}
	for (pb_size_t i = 0; i < answer->gained_count; i++)
		numbers[count++] = key_number(feed->keys, answer->gained[i]);
	struct key_set *set = key_set_of(feed->keys, numbers, count);
	free(numbers);
	return set;
}

/* The feed that asked, which may ask again; NULL: it went. Frees the question. */
static struct feed *feed_of_answer(struct hub *hub, struct question *question)
{
	struct keys_question *asked = (struct keys_question *)question;
	struct feed *feed = feed_find(hub, asked->stream);

	free(asked);
	if (feed == NULL)
		return NULL;
	feed->asked = false;
	open_unasked_add(feed);
	return feed;
}

static void keys_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	uint64_t id = question->id;
	struct feed *feed = feed_of_answer(hub, question);
	const pb_ListAudiencesReply *got = reply;
	struct table by_user = {0};
	struct opening *next = NULL;

	if (feed == NULL)
		return;
	if (st == STATUS_OK && !open_generation_fits(hub, got->generation))
		st = STATUS_BUSY;
	for (pb_size_t i = 0; st == STATUS_OK && i < got->answers_count; i++)
		if (got->answers[i].rank == feed->stream.rank && got->answers[i].stream_id == feed->stream.id)
			table_put(&by_user, got->answers[i].user_id, &got->answers[i]);
	for (struct opening *opening = feed->openings; opening != NULL; opening = next) {
		next = opening->next;
		if (opening->state != OPENING_ASKED || opening->question != id)
			continue;
		if (st != STATUS_OK) {
			opening_failed(opening, st);
			continue;
		}
		const pb_AudienceAnswer *answer = table_get(&by_user, opening->member->client->user->id);
		struct key_set *keys = answer != NULL ? open_keys_of(feed, got, answer) : NULL;
		if (keys == NULL)
			opening_refuse(opening, STATUS_NOT_FOUND);
		else
			opening_answer(opening, keys, answer->as_of, answer->unchanged_since);
	}
	table_finish(&by_user);
}

static void head_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	uint64_t id = question->id;
	struct feed *feed = feed_of_answer(hub, question);
	const pb_StreamHeadsReply *got = reply;
	struct opening *next = NULL;

	if (feed == NULL)
		return;
	if (st == STATUS_OK && !open_generation_fits(hub, got->generation))
		st = STATUS_BUSY;
	for (struct opening *opening = feed->openings; opening != NULL; opening = next) {
		next = opening->next;
		if (opening->state != OPENING_ASKED || opening->question != id)
			continue;
		if (st != STATUS_OK)
			opening_failed(opening, st);
		else
			opening_answer(opening, NULL, got->heads_count > 0 ? got->heads[0].seq : 0, 0);
	}
}

/* One question a stream: what comes while it is on its way gathers for the next. */
static void feed_flush(struct feed *feed)
{
	struct hub *hub = feed->hub;
	bool heads = feed->constant;
	uint64_t users[OPEN_USERS_AT_ONCE];
	size_t count = 0, distinct = 0;
	struct keys_question *asked = NULL;

	if (feed->asked)
		return;
	for (struct opening *opening = feed->openings; opening != NULL && count < OPEN_USERS_AT_ONCE;
		opening = opening->next) {
		if (opening->state != OPENING_UNASKED)
			continue;
		if (asked == NULL) {
			asked = memory_new(sizeof *asked);
			*asked = (struct keys_question){
				.question.answered = heads ? head_answered : keys_answered,
				.stream = feed->stream};
			hub_ask(hub, &asked->question);
		}
		opening->state = OPENING_ASKED;
		opening->question = asked->question.id;
		users[count++] = opening->member->client->user->id;
	}
	if (asked == NULL)
		return;
	feed->asked = true;
	if (heads) {
		hub->options.ports->ask_head(hub->options.arg, asked->question.id, feed->stream);
		return;
	}
	/* One person's clients are one answer. */
	for (size_t i = 0; i < count; i++) {
		bool seen = false;
		for (size_t j = 0; j < distinct && !seen; j++)
			seen = users[j] == users[i];
		if (!seen)
			users[distinct++] = users[i];
	}
	hub->options.ports->ask_keys(hub->options.arg, asked->question.id, feed->stream, users, distinct);
}

void open_flush(struct hub *hub)
{
	while (hub->unasked != NULL) {
		struct feed *feed = hub->unasked;
		hub->unasked = feed->unasked_next;
		feed->unasked = false;
		feed_flush(feed);
	}
}

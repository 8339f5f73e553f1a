/*
 * open - see open.h. The law is the event log's section 5; what each rule prevents is in the model beside it.
 */
#include "services/gateway/open.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "services/gateway/memory.h"
#include "services/gateway/subscribe.h"

#define PATIENCE_MS      3000 /* then a client hears `busy` */
#define RETRY_MS         100
#define RETRY_MOST_MS    1000
#define ASKS_BEFORE_HOLD 3
#define USERS_AT_ONCE    256 /* in one question about a stream */

/* One question about the keys of several users in one stream. */
struct keys_question {
	struct question question;
	struct stream stream;
};

/* An audience_recheck at work: the feed is held, its users' keys are asked for. */
struct recheck {
	struct question question;
	struct timer retry;
	struct feed *feed; /* NULL: it went */
	uint64_t seq;
	uint64_t *users; /* left to ask; those asked for stand in front */
	size_t count, asked;
	uint32_t pause_ms;
	bool in_flight;
};

/* ---- openings */

static void unasked_add(struct feed *feed)
{
	if (feed->unasked)
		return;
	feed->unasked = true;
	feed->unasked_next = feed->hub->unasked;
	feed->hub->unasked = feed;
}

static void hold(struct opening *opening)
{
	if (opening->holds)
		return;
	opening->holds = true;
	opening->member->feed->holds++;
}

static void unhold(struct opening *opening)
{
	if (!opening->holds)
		return;
	opening->holds = false;
	opening->member->feed->holds--;
	feed_wake(opening->member->feed);
}

static void opening_ask(struct opening *opening)
{
	opening->state = OPENING_UNASKED;
	opening->question = 0;
	unasked_add(opening->member->feed);
}

static void opening_retry(struct timer *timer, int64_t now_mono_ms)
{
	opening_ask(memory_holder(timer, struct opening, retry));
}

void opening_free(struct opening *opening)
{
	struct member *member = opening->member;

	unhold(opening);
	wheel_stop(&member->feed->hub->wheel, &opening->retry);
	*opening->link = opening->next;
	if (opening->next != NULL)
		opening->next->link = opening->link;
	if (member->feed->keys != NULL)
		key_set_unref(member->feed->keys, opening->keys);
	member->opening = NULL;
	free(opening);
}

struct member *open_stream(struct client *client, struct stream s, enum open_source source,
	void (*settled)(struct client *client, struct stream s, struct member *member, enum status st))
{
	struct hub *hub = client->hub;
	struct feed *feed = feed_get(hub, s);
	struct member *member = member_add(client, feed);
	struct opening *opening = memory_new(sizeof *opening);

	*opening = (struct opening){.member = member,
		.next = feed->openings,
		.link = &feed->openings,
		.state = OPENING_ASKED,
		.source = source,
		.give_up_at_ms = hub->now_mono_ms + PATIENCE_MS,
		.retry.fire = opening_retry,
		.settled = settled};
	if (opening->next != NULL)
		opening->next->link = &opening->next;
	feed->openings = opening;
	member->opening = opening;
	feed_check_empty(feed);
	switch (source) {
	case OPEN_BY_KEYS:
		opening_ask(opening);
		break;
	case OPEN_BY_HEAD:
		/* Its key is everybody's and nobody loses it: any position of the stream will do to begin at.
		 */
		if (feed->state == FEED_UNFOLLOWED)
			opening_ask(opening);
		else
			opening_answer(opening, NULL, 0, 0);
		break;
	case OPEN_ANSWERED:
	case OPEN_BY_TOKEN:
		break;
	}
	return member;
}

void opening_answer(struct opening *opening, struct key_set *keys, uint64_t as_of, uint64_t unchanged_since)
{
	struct feed *feed = opening->member->feed;
	struct hub *hub = feed->hub;

	if (feed->keys != NULL)
		key_set_unref(feed->keys, opening->keys);
	opening->keys = keys;
	opening->as_of = as_of;
	opening->unchanged_since = unchanged_since;
	opening->state = OPENING_ANSWERED;
	feed_follow(feed, as_of);
	/* Behind: the order hears that there is more, should the bus have lost it. */
	if (feed->state == FEED_FOLLOWED && as_of > feed->seen)
		hub->options.ports->hint(hub->options.arg, feed->stream, as_of);
	unhold(opening);
	feed_wake(feed);
}

void opening_refuse(struct opening *opening, enum status st)
{
	struct member *member = opening->member;
	struct client *client = member->client;
	struct stream s = member->feed->stream;
	void (*settled)(struct client *, struct stream, struct member *, enum status) = opening->settled;

	member_remove(member);
	if (settled != NULL)
		settled(client, s, NULL, st);
}

/* Not answered: again a little later, or given up. */
static void opening_failed(struct opening *opening, enum status st)
{
	struct hub *hub = opening->member->feed->hub;

	/* A stream that cannot be asked about must not stand still meanwhile. */
	unhold(opening);
	opening->question = 0;
	if (hub->now_mono_ms >= opening->give_up_at_ms)
		opening_refuse(opening, STATUS_BUSY);
	else
		wheel_start(&hub->wheel, &opening->retry, hub->now_mono_ms + RETRY_MS);
}

/* In the one team that its dialect serves a client stays as long as its user may come in. */
static bool may_stay(const struct member *member)
{
	const struct feed *feed = member->feed;
	char entry[AUDIENCE_SIZE];

	if (feed->stream.rank != RANK_TEAM || feed->stream.id != member->client->served_team)
		return true;
	audience_can(entry, feed->stream.id, PERMISSION_access_team);
	return key_set_has(member->keys, key_find(feed->keys, entry));
}

/* Takes the reference. False: they do not let the client stay; it is closed, and the member gone. */
static bool take_keys(struct member *member, struct key_set *keys)
{
	member_set_keys(member, keys);
	if (may_stay(member))
		return true;
	client_close(member->client, CLOSE_NO_ACCESS, true);
	return false;
}

static void opening_live(struct opening *opening)
{
	struct member *member = opening->member;
	struct client *client = member->client;
	struct stream s = member->feed->stream;
	void (*settled)(struct client *, struct stream, struct member *, enum status) = opening->settled;

	member->as_of = opening->source == OPEN_BY_HEAD ? member->feed->applied : opening->as_of;
	member->unchanged_since = opening->unchanged_since;
	struct key_set *keys = opening->keys;
	opening->keys = NULL;
	opening_free(opening);
	if (member->feed->keys != NULL && !take_keys(member, keys))
		return;
	member_set_live(member);
	if (settled != NULL)
		settled(client, s, member, STATUS_OK);
}

static void openings_settle(struct feed *feed)
{
	struct opening *next = NULL;

	for (struct opening *opening = feed->openings; opening != NULL; opening = next) {
		next = opening->next;
		if (opening->state != OPENING_ANSWERED)
			continue;
		if (opening->source == OPEN_BY_HEAD || opening->as_of == feed->applied) {
			opening_live(opening);
			continue;
		}
		if (opening->as_of > feed->applied)
			continue;
		/* The stream has passed the answer: what it says may be revoked by an event that was not seen
		 * with it. */
		if (opening->asks < UINT8_MAX)
			opening->asks++;
		if (opening->asks >= ASKS_BEFORE_HOLD)
			hold(opening);
		if (opening->source == OPEN_BY_TOKEN) {
			opening->state = OPENING_ASKED;
			opening->again(opening->member->client);
		} else {
			opening->source = OPEN_BY_KEYS;
			opening_ask(opening);
		}
	}
}

void open_settle(struct feed *feed)
{
	if (feed->state != FEED_FOLLOWED)
		return;
	if (feed->keys_due > 0) {
		for (uint32_t i = feed->member_count; i-- > 0;) { /* one that goes has its place taken by the last */
			struct member *member = feed->members[i];
			if (member->next_keys == NULL || member->next_at > feed->applied)
				continue;
			struct key_set *keys = key_set_ref(member->next_keys);
			member_drop_next(member);
			take_keys(member, keys);
		}
	}
	if (feed->openings != NULL)
		openings_settle(feed);
}

void open_followed(struct feed *feed)
{
	struct hub *hub = feed->hub;
	uint64_t most = 0;

	for (struct opening *opening = feed->openings; opening != NULL; opening = opening->next)
		if (opening->state == OPENING_ANSWERED && opening->as_of > most)
			most = opening->as_of;
	if (most > feed->applied)
		hub->options.ports->hint(hub->options.arg, feed->stream, most);
	feed_wake(feed);
}

/* ---- answers about keys */

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

static void keys_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct keys_question *asked = (struct keys_question *)question;
	struct feed *feed = feed_find(hub, asked->stream);
	const pb_ListAudiencesReply *got = reply;
	uint64_t id = question->id;
	struct table by_user = {0};
	struct opening *next = NULL;

	free(asked);
	if (feed == NULL)
		return;
	feed->asked = false;
	unasked_add(feed);
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
	struct keys_question *asked = (struct keys_question *)question;
	struct feed *feed = feed_find(hub, asked->stream);
	const pb_StreamHeadsReply *got = reply;
	struct opening *next = NULL;
	uint64_t id = question->id;

	free(asked);
	if (feed == NULL)
		return;
	feed->asked = false;
	unasked_add(feed);
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
	uint64_t users[USERS_AT_ONCE];
	size_t count = 0, distinct = 0;
	struct keys_question *asked = NULL;

	if (feed->asked)
		return;
	for (struct opening *opening = feed->openings; opening != NULL && count < USERS_AT_ONCE;
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

/* ---- audience events */

/* No key is left: the stream is not for this client any more. */
static void member_lost(struct member *member)
{
	struct client *client = member->client;
	struct stream s = member->feed->stream;

	member_remove(member);
	subscribe_member_gone(client, s);
}

static bool text_in(const char *text, char *const *list, pb_size_t count)
{
	for (pb_size_t i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

void open_audience_changed(struct feed *feed, uint64_t seq, const pb_AudienceChanged *change)
{
	struct user *user = hub_user(feed->hub, change->user_id);
	char team[AUDIENCE_SIZE], conversation[AUDIENCE_SIZE];
	struct client *next = NULL;

	feed->rights_at_ms = feed->hub->now_mono_ms;
	if (user == NULL || feed->keys == NULL)
		return;
	audience_key(team, "team", feed->stream.id);
	audience_key(conversation, "conversation", feed->stream.id);
	uint32_t joined = text_in(conversation, change->gained, change->gained_count) ? CLIENT_DIRECT
			  : text_in(team, change->gained, change->gained_count)      ? CLIENT_GLOBAL
										    : 0;
	bool whole = text_in(team, change->lost, change->lost_count) ||
		     text_in(conversation, change->lost, change->lost_count);
	for (struct client *client = user->clients; client != NULL; client = next) {
		next = client->user_next;
		struct member *member = member_find(client, feed->stream);
		/* He is back: the copy of this in his own stream may have come before this stream heard that he was gone. */
		if (member == NULL && joined != 0)
			subscribe_joined(client, feed->stream, joined);
		if (member == NULL || !member->live)
			continue; /* on its way in: its answer has this, or the stream will have passed it */
		if (whole) {
			member_lost(member);
			continue;
		}
		if (member->next_keys != NULL)
			continue; /* they come from a later position and have this change in them */
		struct key_set *keys = key_set_ref(member->keys);
		for (pb_size_t i = 0; i < change->lost_count; i++) {
			struct key_set *less =
				key_set_without(feed->keys, keys, key_find(feed->keys, change->lost[i]));
			key_set_unref(feed->keys, keys);
			keys = less;
		}
		for (pb_size_t i = 0; i < change->gained_count; i++) {
			struct key_set *more =
				key_set_with(feed->keys, keys, key_number(feed->keys, change->gained[i]));
			key_set_unref(feed->keys, keys);
			keys = more;
		}
		if (seq > member->unchanged_since)
			member->unchanged_since = seq;
		take_keys(member, keys);
	}
}

/*
 * The answer's keys hold from the last change of this user's rights on. If that is the recheck itself they
 * hold at once. If more has changed up to the answer, nobody knows which keys he held in between: a right
 * that was taken away and given back does not show, nor does one that was given and taken away. Seen in the
 * random test when old and new keys were compared instead.
 */
static void recheck_apply(struct recheck *recheck, struct member *member, const pb_ListAudiencesReply *reply,
	const pb_AudienceAnswer *answer)
{
	struct feed *feed = recheck->feed;
	struct key_set *keys = answer != NULL ? open_keys_of(feed, reply, answer) : NULL;

	if (keys == NULL && (answer == NULL || answer->unchanged_since <= recheck->seq)) {
		member_lost(member);
		return;
	}
	if (keys == NULL) /* put out later than by the recheck: the event that says so is still to come */
		keys = key_set_of(feed->keys, NULL, 0);
	member->as_of = answer->as_of;
	member->unchanged_since = answer->unchanged_since;
	if (answer->unchanged_since <= recheck->seq) {
		take_keys(member, keys);
		return;
	}
	member->doubtful = true;
	member->next_keys = keys;
	member->next_at = answer->unchanged_since < answer->as_of ? answer->unchanged_since : answer->as_of;
	feed->keys_due++;
	member_set_keys(member, key_set_of(feed->keys, NULL, 0));
}

void recheck_free(struct recheck *recheck)
{
	if (recheck == NULL)
		return;
	if (recheck->feed != NULL) {
		wheel_stop(&recheck->feed->hub->wheel, &recheck->retry);
		recheck->feed->recheck = NULL;
		recheck->feed->holds--;
		recheck->feed = NULL;
	}
	if (recheck->in_flight)
		return; /* the answer frees it */
	free(recheck->users);
	free(recheck);
}

static void recheck_ask(struct recheck *recheck)
{
	struct feed *feed = recheck->feed;
	struct hub *hub = feed->hub;

	if (recheck->count == 0) {
		recheck_free(recheck);
		feed_wake(feed);
		return;
	}
	recheck->asked = recheck->count < USERS_AT_ONCE ? recheck->count : USERS_AT_ONCE;
	recheck->in_flight = true;
	hub->options.ports->ask_keys(hub->options.arg, hub_ask(hub, &recheck->question), feed->stream,
		recheck->users, recheck->asked);
}

static void recheck_retry(struct timer *timer, int64_t now_mono_ms)
{
	recheck_ask(memory_holder(timer, struct recheck, retry));
}

static void recheck_later(struct recheck *recheck)
{
	struct hub *hub = recheck->feed->hub;

	wheel_start(&hub->wheel, &recheck->retry, hub->now_mono_ms + recheck->pause_ms);
	recheck->pause_ms = recheck->pause_ms * 2 < RETRY_MOST_MS ? recheck->pause_ms * 2 : RETRY_MOST_MS;
}

static const pb_AudienceAnswer *answer_for(
	const pb_ListAudiencesReply *reply, struct stream s, uint64_t user, pb_size_t *hint)
{
	/* Answers come in the order of the question, as a rule. */
	for (pb_size_t n = 0; n < reply->answers_count; n++) {
		pb_size_t i = (pb_size_t)((*hint + n) % reply->answers_count);
		const pb_AudienceAnswer *answer = &reply->answers[i];
		if (answer->user_id == user && answer->rank == s.rank && answer->stream_id == s.id) {
			*hint = i + 1;
			return answer;
		}
	}
	return NULL;
}

static void recheck_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct recheck *recheck = (struct recheck *)question;
	const pb_ListAudiencesReply *got = reply;
	struct feed *feed = recheck->feed;
	size_t kept = 0;
	pb_size_t hint = 0;

	recheck->in_flight = false;
	if (feed == NULL) {
		recheck_free(recheck);
		return;
	}
	if (st != STATUS_OK || !open_generation_fits(hub, got->generation)) {
		/* Nothing is delivered on rights that may be gone: the stream waits. */
		log_warn("recheck_unanswered", LOG_ID("stream", feed->stream.id), LOG_STATUS("status", st));
		recheck_later(recheck);
		return;
	}
	for (size_t i = 0; i < recheck->asked; i++) {
		uint64_t id = recheck->users[i];
		const pb_AudienceAnswer *answer = answer_for(got, feed->stream, id, &hint);
		if (answer != NULL && answer->member && answer->as_of < recheck->seq) {
			recheck->users[kept++] = id; /* older than the change: from a copy that lags */
			continue;
		}
		struct user *user = hub_user(hub, id);
		struct client *next = NULL;
		for (struct client *client = user != NULL ? user->clients : NULL; client != NULL;
			client = next) {
			next = client->user_next;
			struct member *member = member_find(client, feed->stream);
			/* One that came in meanwhile has an answer of its own, not older than the change. */
			if (member != NULL && member->live && member->as_of < recheck->seq)
				recheck_apply(recheck, member, got, answer);
		}
	}
	memmove(recheck->users + kept, recheck->users + recheck->asked,
		(recheck->count - recheck->asked) * sizeof *recheck->users);
	recheck->count -= recheck->asked - kept;
	if (kept > 0)
		recheck_later(recheck);
	else
		recheck_ask(recheck);
}

static int u64_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Whose keys may have changed: everybody's, those of who holds the role's own key, and of who is named. An event that names
 * nobody concerns everybody. */
static bool recheck_concerns(const struct member *member, const pb_AudienceRecheck *event, uint32_t role)
{
	bool named = event->user_ids_count > 0 || event->role_id != 0;

	if (event->all || !named)
		return true;
	for (pb_size_t i = 0; i < event->user_ids_count; i++)
		if (event->user_ids[i] == member->client->user->id)
			return true;
	return event->role_id != 0 && key_set_has(member->keys, role);
}

void open_audience_recheck(struct feed *feed, uint64_t seq, const pb_AudienceRecheck *event)
{
	if (feed->keys == NULL)
		return;
	feed->rights_at_ms = feed->hub->now_mono_ms;
	/* Any channel may have another key from now on: who asks for it next has it judged. */
	if (event->all)
		channel_facts_forget(feed->hub, feed->stream);
	if (feed->member_count == 0)
		return;
	assert(feed->recheck == NULL);
	struct recheck *recheck = memory_new(sizeof *recheck);
	*recheck = (struct recheck){.question.answered = recheck_answered,
		.retry.fire = recheck_retry,
		.feed = feed,
		.seq = seq,
		.users = memory_resize(NULL, feed->member_count * sizeof *recheck->users),
		.pause_ms = RETRY_MS};
	char key[AUDIENCE_SIZE];
	audience_key(key, "role", event->role_id);
	uint32_t role = key_find(feed->keys, key);
	for (uint32_t i = 0; i < feed->member_count; i++) {
		const struct member *member = feed->members[i];
		if (member->as_of < seq && recheck_concerns(member, event, role))
			recheck->users[recheck->count++] = member->client->user->id;
	}
	qsort(recheck->users, recheck->count, sizeof *recheck->users, u64_compare);
	size_t distinct = 0;
	for (size_t i = 0; i < recheck->count; i++)
		if (distinct == 0 || recheck->users[distinct - 1] != recheck->users[i])
			recheck->users[distinct++] = recheck->users[i];
	recheck->count = distinct;
	feed->recheck = recheck;
	feed->holds++;
	recheck_ask(recheck);
}

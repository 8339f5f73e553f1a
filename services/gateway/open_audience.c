/*
 * open_audience - see open.h: the audience events. audience_changed says what somebody gained and lost; audience_recheck says whose keys are
 * to be asked for again, and holds the feed until they are known.
 */
#include "services/gateway/open_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "services/gateway/memory.h"
#include "services/gateway/people.h"
#include "services/gateway/sight.h"
#include "services/gateway/subscribe.h"

#define RECHECK_MOST_MS 1000 /* between questions that are not answered */

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
		sight_note(member, keys, 0);
		open_take_keys(member, keys);
	}
	sight_ask(feed, seq);
}

/* An audience_recheck at work: the feed is held, its users' keys are asked for. */
struct recheck {
	struct question question;
	struct timer retry;
	struct feed *feed; /* NULL: it went */
	uint64_t seq;
	uint64_t closed; /* a channel that everybody saw and that has a key of its own from here on, 0: none */
	bool kinds;      /* which of them is not known */
	uint64_t *users; /* left to ask; those asked for stand in front */
	size_t count, asked;
	uint32_t pause_ms;
	bool in_flight;
};

/*
 * The answer's keys hold from the last change of this user's rights on. If that is the recheck itself they
 * hold at once. If more has changed up to the answer, nobody knows which keys he held in between: a right
 * that was taken away and given back does not show, nor does one that was given and taken away. Seen in the
 * random test when old and new keys were compared instead.
 */
static void recheck_judge(struct recheck *recheck, struct member *member, const pb_ListAudiencesReply *reply,
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
	if (!recheck->kinds)
		sight_note(member, keys, recheck->closed);
	member->as_of = answer->as_of;
	member->unchanged_since = answer->unchanged_since;
	if (answer->unchanged_since <= recheck->seq) {
		open_take_keys(member, keys);
		return;
	}
	member->doubtful = true;
	member->next_keys = keys;
	member->next_at = answer->unchanged_since < answer->as_of ? answer->unchanged_since : answer->as_of;
	feed->keys_due++;
	member_set_keys(member, key_set_of(feed->keys, NULL, 0));
}

/* user: NULL when none of his clients is here any more. */
static void recheck_apply(struct recheck *recheck, struct user *user, const pb_ListAudiencesReply *reply,
	const pb_AudienceAnswer *answer)
{
	struct client *next = NULL;

	for (struct client *client = user != NULL ? user->clients : NULL; client != NULL; client = next) {
		next = client->user_next;
		struct member *member = member_find(client, recheck->feed->stream);
		/* One that came in meanwhile has an answer of its own, not older than the change. */
		if (member != NULL && member->live && member->as_of < recheck->seq)
			recheck_judge(recheck, member, reply, answer);
	}
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
	recheck->asked = recheck->count < OPEN_USERS_AT_ONCE ? recheck->count : OPEN_USERS_AT_ONCE;
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
	recheck->pause_ms = recheck->pause_ms * 2 < RECHECK_MOST_MS ? recheck->pause_ms * 2 : RECHECK_MOST_MS;
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
		recheck_apply(recheck, hub_user(hub, id), got, answer);
	}
	memmove(recheck->users + kept, recheck->users + recheck->asked,
		(recheck->count - recheck->asked) * sizeof *recheck->users);
	recheck->count -= recheck->asked - kept;
	sight_ask(feed, recheck->seq);
	if (kept > 0)
		recheck_later(recheck);
	else
		recheck_ask(recheck);
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

/* Everybody who is to be asked about, once; there is room for the feed's members. */
static void recheck_gather(struct recheck *recheck, const pb_AudienceRecheck *event)
{
	struct feed *feed = recheck->feed;
	char key[AUDIENCE_SIZE];

	audience_key(key, "role", event->role_id);
	uint32_t role = key_find(feed->keys, key);
	for (uint32_t i = 0; i < feed->member_count; i++) {
		const struct member *member = feed->members[i];
		if (member->as_of < recheck->seq && recheck_concerns(member, event, role))
			recheck->users[recheck->count++] = member->client->user->id;
	}
	recheck->count = people_distinct(recheck->users, recheck->count);
}

void open_audience_recheck(struct feed *feed, uint64_t seq, const pb_AudienceRecheck *event)
{
	if (feed->keys == NULL)
		return;
	feed->rights_at_ms = feed->hub->now_mono_ms;
	if (event->kinds)
		sight_lost(feed);
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
		.closed = event->closed_channel_id,
		.kinds = event->kinds,
		.users = memory_resize(NULL, feed->member_count * sizeof *recheck->users),
		.pause_ms = OPEN_RETRY_MS};
	recheck_gather(recheck, event);
	feed->recheck = recheck;
	feed->holds++;
	recheck_ask(recheck);
}

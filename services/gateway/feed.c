/*
 * feed - the streams that this loop follows: their coming and going, the events that wait, and those that
 * were dropped while a stream was held and are read from the log again. See stream.h.
 */
#include "services/gateway/stream.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "services/gateway/deliver.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/sight.h"

#define PENDING_MOST_BYTES (4u << 20) /* of one stream; beyond it the log is read instead */
#define REFILL_EVENTS      512
#define REFILL_RETRY_MS    250

struct feed *feed_find(struct hub *hub, struct stream s)
{
	return s.rank >= RANK_TEAM && s.rank <= RANK_GLOBAL ? table_get(&hub->feeds[s.rank], s.id) : NULL;
}

static void linger(struct feed *feed)
{
	struct hub *hub = feed->hub;

	if (feed->lingers || feed->pinned)
		return;
	feed->lingers = true;
	feed->empty_since_ms = hub->now_mono_ms;
	feed->lingering_next = hub->lingering;
	feed->lingering_link = &hub->lingering;
	if (feed->lingering_next != NULL)
		feed->lingering_next->lingering_link = &feed->lingering_next;
	hub->lingering = feed;
}

static void linger_no_more(struct feed *feed)
{
	if (!feed->lingers)
		return;
	feed->lingers = false;
	*feed->lingering_link = feed->lingering_next;
	if (feed->lingering_next != NULL)
		feed->lingering_next->lingering_link = feed->lingering_link;
}

struct feed *feed_get(struct hub *hub, struct stream s)
{
	struct feed *feed = feed_find(hub, s);

	assert(s.rank >= RANK_TEAM && s.rank <= RANK_GLOBAL);
	if (feed != NULL)
		return feed;
	feed = memory_new(sizeof *feed);
	feed->hub = hub;
	feed->stream = s;
	feed->constant = s.rank != RANK_TEAM;
	if (!feed->constant)
		feed->keys = memory_new(sizeof *feed->keys);
	table_put(&hub->feeds[s.rank], s.id, feed);
	linger(feed);
	return feed;
}

void feed_check_empty(struct feed *feed)
{
	if (feed->member_count == 0 && feed->openings == NULL)
		linger(feed);
	else
		linger_no_more(feed);
}

void feed_pin(struct feed *feed)
{
	feed->pinned = true;
	linger_no_more(feed);
}

void feed_unpin(struct feed *feed)
{
	if (feed == NULL)
		return;
	feed->pinned = false;
	feed_check_empty(feed);
}

void feed_follow(struct feed *feed, uint64_t at)
{
	struct hub *hub = feed->hub;

	if (feed->state != FEED_UNFOLLOWED)
		return;
	feed->state = FEED_FOLLOWING;
	feed->follow = ++hub->last_follow;
	hub->options.ports->follow(hub->options.arg, feed->stream, at, feed->follow);
}

void feed_wake(struct feed *feed)
{
	struct hub *hub = feed->hub;

	if (feed->active)
		return;
	feed->active = true;
	feed->active_next = NULL;
	*hub->active_end = feed;
	hub->active_end = &feed->active_next;
}

static void pending_push(struct feed *feed, struct bus_event *ev)
{
	if (feed->pending_count == feed->pending_capacity) {
		uint32_t capacity = feed->pending_capacity == 0 ? 4 : feed->pending_capacity * 2;
		struct bus_event **ring = memory_resize(NULL, capacity * sizeof *ring);
		for (uint32_t i = 0; i < feed->pending_count; i++)
			ring[i] = feed->pending[(feed->pending_begin + i) % feed->pending_capacity];
		free(feed->pending);
		feed->pending = ring;
		feed->pending_capacity = capacity;
		feed->pending_begin = 0;
	}
	feed->pending[(feed->pending_begin + feed->pending_count++) % feed->pending_capacity] =
		bus_event_ref(ev);
	feed->pending_bytes += bus_event_logged(ev)->payload_length;
}

struct bus_event *feed_next_pending(struct feed *feed)
{
	struct bus_event *ev = feed->pending[feed->pending_begin];

	feed->pending_begin = (feed->pending_begin + 1) % feed->pending_capacity;
	feed->pending_count--;
	feed->pending_bytes -= bus_event_logged(ev)->payload_length;
	if (feed->pending_count == 0) { /* a stream at rest owns nothing */
		free(feed->pending);
		feed->pending = NULL;
		feed->pending_capacity = feed->pending_begin = 0;
	}
	return ev;
}

static void active_remove(struct feed *feed)
{
	struct hub *hub = feed->hub;

	if (!feed->active)
		return;
	for (struct feed **link = &hub->active; *link != NULL; link = &(*link)->active_next) {
		if (*link != feed)
			continue;
		*link = feed->active_next;
		if (hub->active_end == &feed->active_next)
			hub->active_end = link;
		break;
	}
	feed->active = false;
}

static void unasked_remove(struct feed *feed)
{
	if (!feed->unasked)
		return;
	for (struct feed **link = &feed->hub->unasked; *link != NULL; link = &(*link)->unasked_next) {
		if (*link == feed) {
			*link = feed->unasked_next;
			break;
		}
	}
	feed->unasked = false;
}

static void topic_lists_free(struct topic_lists *lists)
{
	size_t cursor = 0;
	struct topic_list *list;

	if (lists == NULL)
		return;
	while ((list = table_next(&lists->channels, &cursor)) != NULL) {
		free(list->entries);
		free(list);
	}
	table_finish(&lists->channels);
	free(lists->whole.entries);
	free(lists->global.entries);
	free(lists);
}

/* ---- what was dropped */

/* Events were dropped while the stream was held: the log has them. */
struct refill {
	struct question question;
	struct timer retry;
	struct feed *feed; /* NULL: it went */
	bool asked;
};

static void refill_done(struct refill *refill)
{
	if (refill->feed != NULL) {
		wheel_stop(&refill->feed->hub->wheel, &refill->retry);
		refill->feed->refill = NULL;
		refill->feed = NULL;
	}
	if (!refill->asked)
		free(refill);
}

static void refill_ask(struct refill *refill)
{
	struct feed *feed = refill->feed;
	struct hub *hub = feed->hub;

	refill->asked = true;
	hub->options.ports->ask_events(hub->options.arg, hub_ask(hub, &refill->question), feed->stream,
		feed->applied, REFILL_EVENTS, feed->seen, hub_generation(hub));
}

static void refill_retry(struct timer *timer, int64_t now_mono_ms)
{
	refill_ask(memory_holder(timer, struct refill, retry));
}

static void refill_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct refill *refill = (struct refill *)question;
	struct feed *feed = refill->feed;
	const pb_FetchEventsReply *got = reply;

	refill->asked = false;
	if (feed == NULL) {
		refill_done(refill);
		return;
	}
	if (st != STATUS_OK) {
		wheel_start(&hub->wheel, &refill->retry, hub->now_mono_ms + REFILL_RETRY_MS);
		return;
	}
	refill_done(refill);
	if (got->gone || got->events_count == 0) {
		feed_abandon(feed, "the log no longer reaches back");
		return;
	}
	uint64_t next = feed->applied + 1;
	for (pb_size_t i = 0; i < got->events_count; i++) {
		struct bus_event *ev =
			got->events[i].seq == next ? bus_event_from_log(&got->events[i]) : NULL;
		if (ev == NULL) {
			feed_abandon(feed, "the log's answer has a hole");
			return;
		}
		pending_push(feed, ev);
		bus_event_unref(ev);
		next++;
	}
	if (next > feed->seen) {
		feed->seen = next - 1;
		feed->overflowed = false;
	}
	feed_wake(feed);
}

void feed_refill(struct feed *feed)
{
	struct refill *refill = memory_new(sizeof *refill);

	*refill = (struct refill){
		.question.answered = refill_answered, .retry.fire = refill_retry, .feed = feed};
	feed->refill = refill;
	refill_ask(refill);
}

static void refill_cancel(struct feed *feed)
{
	if (feed->refill != NULL)
		refill_done(feed->refill);
}

/* ---- the end of a feed */

/* Everything about what was heard so far; members stay. */
static void feed_unfollow(struct feed *feed)
{
	struct hub *hub = feed->hub;

	if (feed->state != FEED_UNFOLLOWED)
		hub->options.ports->unfollow(hub->options.arg, feed->stream, feed->follow);
	if (!feed->constant)
		channel_facts_forget(hub, feed->stream);
	feed->state = FEED_UNFOLLOWED;
	while (feed->pending_count > 0)
		bus_event_unref(feed_next_pending(feed));
	delivery_free(feed->current);
	feed->current = NULL;
	sight_free(feed);
	ring_clear(feed);
	feed->overflowed = false;
	refill_cancel(feed);
}

void feed_free(struct feed *feed)
{
	struct hub *hub = feed->hub;

	assert(feed->member_count == 0 && feed->openings == NULL);
	feed_unfollow(feed);
	recheck_free(feed->recheck);
	active_remove(feed);
	unasked_remove(feed);
	linger_no_more(feed);
	table_remove(&hub->feeds[feed->stream.rank], feed->stream.id);
	for (size_t i = 0; i < DIALECT_MOST; i++)
		topic_lists_free(feed->topics[i]);
	if (feed->keys != NULL)
		key_table_finish(feed->keys);
	free(feed->keys);
	free(feed->members);
	free(feed);
}

void feed_sweep(struct hub *hub, int64_t linger_ms)
{
	struct feed *next = NULL;

	for (struct feed *feed = hub->lingering; feed != NULL; feed = next) {
		next = feed->lingering_next;
		if (hub->now_mono_ms - feed->empty_since_ms >= linger_ms)
			feed_free(feed);
	}
}

void feed_abandon(struct feed *feed, const char *why)
{
	log_info("stream_abandoned", LOG_U64("rank", feed->stream.rank), LOG_ID("stream", feed->stream.id),
		LOG_STR("why", why), LOG_U64("members", feed->member_count));
	while (feed->member_count > 0)
		client_send_away(feed->members[feed->member_count - 1]->client, CLOSE_MISSED, AWAY_MOST_MS);
	while (feed->openings != NULL)
		client_send_away(feed->openings->member->client, CLOSE_MISSED, AWAY_MOST_MS);
	feed_unfollow(feed);
	feed_check_empty(feed);
}

/* ---- what comes */

void stream_event(struct hub *hub, struct bus_event *ev)
{
	const struct logged_event *logged = bus_event_logged(ev);
	struct feed *feed = feed_find(hub, logged->stream);

	/* Not followed (any more), or what an earlier follow had still in the mailbox. */
	if (feed == NULL || feed->state != FEED_FOLLOWED || logged->seq <= feed->seen)
		return;
	if (logged->seq != feed->seen + 1) {
		log_error("order_broken", LOG_ID("stream", feed->stream.id), LOG_U64("seen", feed->seen),
			LOG_U64("seq", logged->seq));
		feed_abandon(feed, "the order has a hole");
		return;
	}
	feed->seen = logged->seq;
	if (feed->overflowed)
		return;
	if (feed->pending_bytes > PENDING_MOST_BYTES) {
		feed->overflowed = true;
		log_warn("stream_overflowed", LOG_ID("stream", feed->stream.id), LOG_U64("seq", logged->seq));
		return;
	}
	pending_push(feed, ev);
	feed_wake(feed);
}

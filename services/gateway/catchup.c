/*
 * catchup - see catchup.h.
 */
#include "services/gateway/catchup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"

#define PAGES_MOST   32
#define PAGES_FLIGHT 8 /* being read at a time */
#define RETRY_MS     200
#define PATIENCE_MS  5000       /* for the first page; then the stream counts as not recovered */
#define WAITING_MOST (1u << 20) /* bytes of live frames behind a replay */

/* One page being read, and who waits for it. */
struct page_ask {
	struct question question;
	struct page_ask *next, **link; /* hub->page_asks */
	struct page_ask *unasked_next; /* hub->pages_unasked */
	uint64_t expect_head;
	struct stream stream;
	uint64_t after;
	struct catchup *waiters;
};

/* ---- pages */

static void page_free(struct page *page)
{
	size_t places = dialect_count * DIALECT_VARIANTS;

	for (size_t i = 0; i < page->count; i++) {
		if (page->events[i] != NULL)
			bus_event_unref(page->events[i]);
		for (size_t j = 0; j < places; j++)
			frame_unref(page->frames[i * places + j]);
	}
	free(page->events);
	free(page->frames);
	free(page->rendered);
	free(page);
}

static void page_unref(struct page *page)
{
	if (page != NULL && --page->refs == 0 && !page->listed)
		page_free(page);
}

static void page_unlist(struct hub *hub, struct page *page)
{
	for (struct page **link = &hub->pages; *link != NULL; link = &(*link)->next) {
		if (*link == page) {
			*link = page->next;
			break;
		}
	}
	page->listed = false;
	hub->page_count--;
	if (page->refs == 0)
		page_free(page);
}

static void page_list(struct hub *hub, struct page *page)
{
	page->next = hub->pages;
	page->listed = true;
	page->used_at_ms = hub->now_mono_ms;
	hub->pages = page;
	if (++hub->page_count > PAGES_MOST) {
		struct page *oldest = page;
		for (struct page *other = page; other != NULL; other = other->next)
			if (other->used_at_ms <= oldest->used_at_ms)
				oldest = other;
		page_unlist(hub, oldest == page && page->next != NULL ? page->next : oldest);
	}
}

void pages_sweep(struct hub *hub, int64_t older_than_ms)
{
	struct page *next = NULL;

	for (struct page *page = hub->pages; page != NULL; page = next) {
		next = page->next;
		if (hub->now_mono_ms - page->used_at_ms >= older_than_ms)
			page_unlist(hub, page);
	}
}

void pages_forget(struct hub *hub)
{
	while (hub->pages != NULL)
		page_unlist(hub, hub->pages);
}

void pages_blank(struct hub *hub, struct stream s, uint64_t message_id)
{
	size_t places = dialect_count * DIALECT_VARIANTS;

	for (struct page *page = hub->pages; page != NULL; page = page->next) {
		for (size_t i = 0; stream_compare(page->stream, s) == 0 && i < page->count; i++) {
			if (!ring_says(page->events[i], message_id))
				continue;
			bus_event_unref(page->events[i]);
			page->events[i] = NULL;
			for (size_t j = 0; j < places; j++) {
				frame_unref(page->frames[i * places + j]);
				page->frames[i * places + j] = NULL;
			}
		}
	}
}

static bool page_has(const struct page *page, struct stream s, uint64_t seq)
{
	return stream_compare(page->stream, s) == 0 && seq >= page->first && seq - page->first < page->count;
}

/* ---- reading */

static void wait_leave(struct catchup *c)
{
	struct page_ask *ask = c->asking;

	if (ask == NULL)
		return;
	for (struct catchup **link = &ask->waiters; *link != NULL; link = &(*link)->asking_next) {
		if (*link == c) {
			*link = c->asking_next;
			break;
		}
	}
	c->asking = NULL;
	wheel_stop(&c->member->client->hub->wheel, &c->overdue);
}

static void page_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why);

static void page_ask_free(struct page_ask *ask)
{
	*ask->link = ask->next;
	if (ask->next != NULL)
		ask->next->link = ask->link;
	free(ask);
}

/* As many as may be read at a time. Pages that nobody waits for any more are not. */
static void pages_flush(struct hub *hub)
{
	while (hub->pages_unasked != NULL && hub->pages_in_flight < PAGES_FLIGHT) {
		struct page_ask *ask = hub->pages_unasked;
		hub->pages_unasked = ask->unasked_next;
		if (hub->pages_unasked == NULL)
			hub->pages_unasked_end = &hub->pages_unasked;
		if (ask->waiters == NULL) {
			page_ask_free(ask);
			continue;
		}
		hub->pages_in_flight++;
		metric_add(ws_pages_read, 1);
		hub->options.ports->ask_events(hub->options.arg, hub_ask(hub, &ask->question), ask->stream, ask->after,
			PAGE_EVENTS, ask->expect_head, hub_generation(hub));
	}
}

void pages_finish(struct hub *hub)
{
	while (hub->pages_unasked != NULL) {
		struct page_ask *ask = hub->pages_unasked;
		hub->pages_unasked = ask->unasked_next;
		page_ask_free(ask);
	}
	hub->pages_unasked_end = &hub->pages_unasked;
}

static void page_ask(struct catchup *c)
{
	struct hub *hub = c->member->client->hub;
	struct stream s = c->member->feed->stream;
	/* Pages begin at multiples, so that those who come back together read the same ones. */
	uint64_t after = c->exact ? c->next - 1 : (c->next - 1) / PAGE_EVENTS * PAGE_EVENTS;
	struct page_ask *ask = hub->page_asks;

	while (ask != NULL && (stream_compare(ask->stream, s) != 0 || ask->after != after))
		ask = ask->next;
	if (ask == NULL) {
		ask = memory_new(sizeof *ask);
		*ask = (struct page_ask){.question.answered = page_answered,
			.next = hub->page_asks,
			.link = &hub->page_asks,
			.stream = s,
			.after = after};
		if (ask->next != NULL)
			ask->next->link = &ask->next;
		hub->page_asks = ask;
		*hub->pages_unasked_end = ask;
		hub->pages_unasked_end = &ask->unasked_next;
	}
	if (c->until > ask->expect_head)
		ask->expect_head = c->until; /* as long as it was not asked for yet: the others are told to come again */
	c->asking = ask;
	c->asking_next = ask->waiters;
	ask->waiters = c;
	wheel_start(&hub->wheel, &c->overdue, c->give_up_at_ms);
	pages_flush(hub);
}

/* Is `next` at hand, in the ring or in a page? If not it is asked for. */
static bool page_want(struct catchup *c)
{
	struct hub *hub = c->member->client->hub;

	if (ring_find(c->member->feed, c->next) != NULL)
		return true;
	for (struct page *page = hub->pages; page != NULL; page = page->next) {
		if (!page_has(page, c->member->feed->stream, c->next))
			continue;
		page->refs++;
		page->used_at_ms = hub->now_mono_ms;
		c->page = page;
		return true;
	}
	page_ask(c);
	return false;
}

static void page_drop(struct catchup *c)
{
	page_unref(c->page);
	c->page = NULL;
}

/* The first page is here, or will not be. c may be gone afterwards. */
static void tell_ready(struct catchup *c, enum status st)
{
	void (*ready)(struct member *, enum status) = c->ready;

	c->ready = NULL;
	if (st != STATUS_OK)
		c->next = c->until + 1;
	if (ready != NULL)
		ready(c->member, st);
}

/* The page that was asked for is here. c may be gone afterwards. */
static void page_here(struct catchup *c)
{
	if (c->ready != NULL)
		tell_ready(c, STATUS_OK);
	else
		catchup_pump(c->member);
}

/* c may be gone afterwards. */
static void page_failed(struct catchup *c, enum status st)
{
	struct hub *hub = c->member->client->hub;

	if (st == STATUS_CURSOR_TOO_OLD && !c->exact && (c->next - 1) % PAGE_EVENTS != 0) {
		c->exact = true; /* the page's beginning is gone, but ours may be there */
		if (page_want(c))
			page_here(c);
		return;
	}
	if (st != STATUS_CURSOR_TOO_OLD && hub->now_mono_ms < c->give_up_at_ms) {
		wheel_start(&hub->wheel, &c->retry, hub->now_mono_ms + RETRY_MS);
		return;
	}
	if (c->ready != NULL)
		tell_ready(c, st);
	else /* it was told "recovered" already */
		client_send_away(c->member->client, CLOSE_MISSED, AWAY_MOST_MS);
}

static void page_retry(struct timer *timer, int64_t now_mono_ms)
{
	struct catchup *c = memory_holder(timer, struct catchup, retry);

	if (page_want(c))
		page_here(c);
}

static void page_overdue(struct timer *timer, int64_t now_mono_ms)
{
	struct catchup *c = memory_holder(timer, struct catchup, overdue);

	wait_leave(c);
	page_failed(c, STATUS_BUSY);
}

/* The page of a good answer, NULL when it has a hole. */
static struct page *page_of(struct hub *hub, const struct page_ask *ask, const pb_FetchEventsReply *got)
{
	struct page *page = memory_new(sizeof *page);

	*page = (struct page){.stream = ask->stream, .first = ask->after + 1};
	page->events = memory_new(got->events_count * sizeof *page->events);
	page->frames =
		memory_new(got->events_count * dialect_count * DIALECT_VARIANTS * sizeof *page->frames);
	page->rendered = memory_new(got->events_count * dialect_count);
	for (pb_size_t i = 0; i < got->events_count; i++) {
		if (got->events[i].seq != page->first + i) {
			page_free(page);
			return NULL;
		}
		page->events[page->count] = bus_event_from_log(&got->events[i]);
		if (page->events[page->count] == NULL)
			log_error("event_unreadable", LOG_ID("stream", ask->stream.id),
				LOG_U64("seq", got->events[i].seq));
		page->count++;
	}
	/* An older one with less in it is not needed any more. */
	for (struct page *old = hub->pages; old != NULL; old = old->next) {
		if (stream_compare(old->stream, page->stream) == 0 && old->first == page->first) {
			page_unlist(hub, old);
			break;
		}
	}
	page_list(hub, page);
	return page;
}

static void page_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct page_ask *ask = (struct page_ask *)question;
	const pb_FetchEventsReply *got = reply;
	struct page *page = NULL;

	hub->pages_in_flight--;
	*ask->link = ask->next;
	if (ask->next != NULL)
		ask->next->link = ask->link;
	if (st == STATUS_OK && !open_generation_fits(hub, got->generation))
		st = STATUS_BUSY;
	if (st == STATUS_OK && got->gone)
		st = STATUS_CURSOR_TOO_OLD;
	if (st == STATUS_OK && ask->waiters != NULL) {
		page = page_of(hub, ask, got);
		if (page == NULL)
			st = STATUS_CURSOR_TOO_OLD;
		else
			page->refs++; /* until everybody here has it */
	}
	while (ask->waiters != NULL) {
		struct catchup *c = ask->waiters;
		ask->waiters = c->asking_next;
		c->asking = NULL;
		wheel_stop(&hub->wheel, &c->overdue);
		if (page == NULL) {
			page_failed(c, st);
		} else if (!page_has(page, c->member->feed->stream, c->next)) {
			page_failed(c, STATUS_BUSY); /* from a copy that lags */
		} else {
			page->refs++;
			c->page = page;
			page_here(c);
		}
	}
	page_unref(page);
	free(ask);
	pages_flush(hub);
}

/* ---- catching up */

void catchup_begin(struct member *member)
{
	assert(member->catchup == NULL);
	struct catchup *c = memory_new(sizeof *c);

	*c = (struct catchup){
		.member = member, .gated = true, .next = 1, .until = 0, .retry.fire = page_retry, .overdue.fire = page_overdue};
	member->catchup = c;
	member->client->flags |= CLIENT_CATCHING;
}

void catchup_replay(struct member *member, uint64_t since, uint64_t until,
	void (*ready)(struct member *member, enum status st))
{
	struct catchup *c = member->catchup;
	struct hub *hub = member->client->hub;

	assert(c != NULL && since < until);
	c->next = since + 1;
	c->until = until;
	c->keys = member->keys != NULL ? key_set_ref(member->keys) : NULL;
	c->ready = ready;
	c->give_up_at_ms = hub->now_mono_ms + PATIENCE_MS;
	if (page_want(c))
		tell_ready(c, STATUS_OK);
}

void catchup_release(struct member *member)
{
	if (member->catchup == NULL)
		return;
	member->catchup->gated = false;
	catchup_pump(member);
}

bool catchup_append(struct member *member, struct frame *frame)
{
	struct client *client = member->client;

	if (queue_push(&client->hub->pool, &member->catchup->waiting, frame, WAITING_MOST))
		return true;
	client_close(client, CLOSE_SLOW_READER, true);
	return false;
}

static void catchup_done(struct member *member)
{
	struct client *client = member->client;
	bool others = false;

	catchup_free(member->catchup);
	member->catchup = NULL;
	for (struct member *other = client->members; other != NULL && !others; other = other->next)
		others = other->catchup != NULL;
	if (!others)
		client->flags &= ~CLIENT_CATCHING;
}

static struct frame *frame_from_ring(struct catchup *c, struct ring_entry *entry)
{
	const struct client *client = c->member->client; /* c may be gone afterwards */
	uint8_t before = entry->rendered[client->dialect_no];
	struct frame *frame = NULL;

	if (entry->ev != NULL)
		frame = stream_frame_for(c->member, c->keys, entry->ev, entry->frames, entry->rendered);
	if (frame != NULL && entry->rendered[client->dialect_no] != before)
		ring_grew(entry, frame);
	client->hub->replayed_memory++;
	return frame;
}

static struct frame *frame_from_page(struct catchup *c)
{
	size_t i = (size_t)(c->next - c->page->first), places = dialect_count * DIALECT_VARIANTS;
	struct bus_event *ev = c->page->events[i];

	c->member->client->hub->replayed_log++;
	return ev == NULL ? NULL
			  : stream_frame_for(c->member, c->keys, ev, c->page->frames + i * places,
				    c->page->rendered + i * dialect_count);
}

/* One event of the replay. False: the client is being closed, and c is gone. */
static bool replay_one(struct catchup *c, struct ring_entry *entry)
{
	struct client *client = c->member->client;
	struct frame *frame = entry != NULL ? frame_from_ring(c, entry) : frame_from_page(c);

	if (client->state != CLIENT_READY) /* closed over it: c is gone */
		return false;
	c->next++;
	bool sent = frame == NULL || client_append(client, frame, false);
	frame_unref(frame);
	return sent;
}

void catchup_pump(struct member *member)
{
	struct client *client = member->client;
	struct catchup *c = member->catchup;

	if (c == NULL || c->gated || c->asking != NULL || timer_running(&c->retry))
		return;
	while (client->queue.bytes < client->hub->options.queue_bytes / 2) {
		if (c->next <= c->until) {
			if (c->page != NULL && !page_has(c->page, member->feed->stream, c->next))
				page_drop(c);
			struct ring_entry *entry = ring_find(member->feed, c->next);
			if (entry == NULL && c->page == NULL) {
				c->exact = false;
				c->give_up_at_ms = client->hub->now_mono_ms + PATIENCE_MS;
				if (!page_want(c))
					return;
			}
			if (!replay_one(c, entry))
				return;
			continue;
		}
		struct iovec first;
		if (queue_gather(&c->waiting, &first, 1) == 0) {
			catchup_done(member);
			return;
		}
		struct frame *frame = frame_ref(c->waiting.first->frames[c->waiting.first->begin]);
		queue_take(&client->hub->pool, &c->waiting, first.iov_len);
		bool sent = client_append(client, frame, false);
		frame_unref(frame);
		if (!sent)
			return;
	}
}

void catchup_free(struct catchup *c)
{
	if (c == NULL)
		return;
	struct hub *hub = c->member->client->hub;

	wait_leave(c);
	wheel_stop(&hub->wheel, &c->retry);
	page_drop(c);
	queue_clear(&hub->pool, &c->waiting, false);
	if (c->keys != NULL)
		key_set_unref(c->member->feed->keys, c->keys);
	free(c);
}

/*
 * hub - see hub.h.
 */
#include "services/gateway/hub.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/canary.h"
#include "services/gateway/catchup.h"
#include "services/gateway/client.h"
#include "services/gateway/deflate.h"
#include "services/gateway/judge.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/slots.h"
#include "services/gateway/stream.h"
#include "services/gateway/subscribe.h"
#include "services/gateway/whereabouts.h"

#define SWEEP_MS       1000
#define FEED_LINGER_MS 10000
#define PAGE_LINGER_MS 10000
#define SLICE          512

static void sweep(struct timer *timer, int64_t now_mono_ms)
{
	struct hub *hub = memory_holder(timer, struct hub, sweep);

	feed_sweep(hub, hub->options.linger_ms);
	pages_sweep(hub, PAGE_LINGER_MS);
	wheel_start(&hub->wheel, timer, now_mono_ms + SWEEP_MS);
}

void hub_init(struct hub *hub, const struct hub_options *options, int64_t now_mono_ms, int64_t now_wall_ms)
{
	*hub = (struct hub){.options = *options,
		.now_mono_ms = now_mono_ms,
		.now_wall_ms = now_wall_ms,
		.sweep.fire = sweep,
		.generation_due.fire = subscribe_generation_due};
	if (hub->options.slice == 0)
		hub->options.slice = SLICE;
	if (hub->options.linger_ms == 0)
		hub->options.linger_ms = FEED_LINGER_MS;
	hub->active_end = &hub->active;
	hub->pages_unasked_end = &hub->pages_unasked;
	hub->unasked_teams_end = &hub->unasked_teams;
	hub->unjudged_end = &hub->unjudged;
	hub->slots_unasked_end = &hub->slots_unasked;
	hub->scratch = arena_create();
	if (options->deflate_level > 0)
		hub->deflate = deflate_create(options->deflate_level, options->deflate_least_bytes);
	wheel_init(&hub->wheel, now_mono_ms);
	wheel_start(&hub->wheel, &hub->sweep, now_mono_ms + SWEEP_MS);
	if (options->canary)
		canary_begin(hub);
}

void hub_finish(struct hub *hub)
{
	struct question *question;
	size_t cursor = 0;

	/* Nobody waits for these answers any more; each is freed by being refused. */
	while ((question = table_next(&hub->questions, &cursor)) != NULL) {
		hub_answer(hub, question->id, STATUS_BUSY, NULL, NULL, NULL);
		cursor = 0;
	}
	hub_flush_questions(hub);
	canary_finish(hub);
	while (hub->lingering != NULL) {
		hub->lingering->empty_since_ms = hub->now_mono_ms;
		feed_sweep(hub, 0);
	}
	whereabouts_finish(hub);
	pages_finish(hub);
	judge_finish_hub(hub);
	pages_forget(hub);
	cursor = 0;
	struct channel_fact *fact;
	while ((fact = table_next(&hub->channels, &cursor)) != NULL)
		free(fact);
	table_finish(&hub->channels);
	table_finish(&hub->users);
	table_finish(&hub->sockets);
	table_finish(&hub->beats);
	table_finish(&hub->questions);
	for (size_t i = 0; i < sizeof hub->feeds / sizeof *hub->feeds; i++)
		table_finish(&hub->feeds[i]);
	client_list_finish(&hub->urgent);
	client_list_finish(&hub->bulk);
	free(hub->fanouts.items);
	client_list_finish(&hub->ended);
	queue_pool_finish(&hub->pool);
	deflate_destroy(hub->deflate);
	arena_destroy(hub->scratch);
}

uint64_t hub_ask(struct hub *hub, struct question *question)
{
	question->id = ++hub->last_question;
	table_put(&hub->questions, question->id, question);
	return question->id;
}

void hub_answer(
	struct hub *hub, uint64_t question, enum status st, const void *reply, const char *why, const char *detail)
{
	struct question *asked = table_remove(&hub->questions, question);

	if (asked == NULL)
		return;
	asked->detail = detail;
	asked->answered(hub, asked, st, reply, why);
}

void hub_event(struct hub *hub, struct bus_event *ev)
{
	stream_event(hub, ev);
}

void hub_ephemeral(struct hub *hub, struct bus_event *ev)
{
	stream_ephemeral(hub, ev);
}

void hub_followed(struct hub *hub, struct stream s, uint64_t applied, uint64_t follow)
{
	struct feed *feed = feed_find(hub, s);

	if (feed == NULL || feed->state != FEED_FOLLOWING || feed->follow != follow)
		return; /* of a follow that was given up */
	feed->state = FEED_FOLLOWED;
	feed->applied = feed->seen = applied;
	open_followed(feed);
}

void hub_refetch(struct hub *hub, struct stream s)
{
	struct feed *feed = feed_find(hub, s);

	if (feed != NULL)
		feed_abandon(feed, "the log no longer reaches back");
}

const char *hub_generation(struct hub *hub)
{
	if (hub->generation[0] == '\0')
		hub->options.ports->generation(hub->options.arg, hub->generation);
	return hub->generation;
}

void hub_generation_changed(struct hub *hub)
{
	struct feed *feed;

	hub->options.ports->generation(hub->options.arg, hub->generation);
	log_warn("generation_changed", LOG_U64("clients", hub->client_count));
	pages_forget(hub);
	for (uint32_t rank = RANK_TEAM; rank <= RANK_GLOBAL; rank++) {
		size_t cursor = 0;
		while ((feed = table_next(&hub->feeds[rank], &cursor)) != NULL)
			feed_abandon(feed, "another generation of the log");
	}
}

bool hub_run(struct hub *hub, size_t appends)
{
	return stream_run(hub, appends);
}

void hub_fanned_out(struct hub *hub, int64_t committed_at_ms)
{
	struct fanouts *f = &hub->fanouts;

	if (f->begin > 0 && f->begin == f->count)
		f->begin = f->count = 0;
	if (f->count == f->capacity && f->begin >= f->capacity / 2 && f->begin > 0) {
		memmove(f->items, f->items + f->begin, (f->count - f->begin) * sizeof *f->items);
		f->count -= f->begin;
		f->begin = 0;
	}
	if (f->count == f->capacity) {
		f->capacity = f->capacity == 0 ? 16 : f->capacity * 2;
		f->items = memory_resize(f->items, f->capacity * sizeof *f->items);
	}
	f->items[f->count++] = (struct fanout){committed_at_ms, f->bulk_written + hub->bulk.count};
}

void hub_written(struct hub *hub, size_t bulk, int64_t now_wall_ms)
{
	struct fanouts *f = &hub->fanouts;

	f->bulk_written += bulk;
	while (f->begin < f->count && f->items[f->begin].behind <= f->bulk_written)
		metric_observe_us(
			&metrics.ws_fanout_seconds, (now_wall_ms - f->items[f->begin++].committed_at_ms) * 1000);
}

void hub_tell_metrics(struct hub *hub)
{
	if (hub->frame_hits != 0)
		metric_add(ws_frame_hits, hub->frame_hits);
	if (hub->replayed_memory != 0)
		metric_add(ws_replayed_memory, hub->replayed_memory);
	if (hub->replayed_log != 0)
		metric_add(ws_replayed_log, hub->replayed_log);
	if (hub->ring_bytes != hub->ring_bytes_told)
		metric_add(ws_ring_bytes, (int64_t)hub->ring_bytes - (int64_t)hub->ring_bytes_told);
	hub->ring_bytes_told = hub->ring_bytes;
	hub->frame_hits = hub->replayed_memory = hub->replayed_log = 0;
	if (hub->deflate == NULL)
		return;
	struct deflate_counts *counts = deflate_counts(hub->deflate);
	if (counts->compressed != 0)
		metric_add(ws_frames_compressed, counts->compressed);
	if (counts->sent != 0) {
		metric_add(ws_compressed_sent, counts->sent);
		metric_add(ws_compressed_saved, counts->saved);
	}
	if (counts->inflated != 0)
		metric_add(ws_messages_inflated, counts->inflated);
	*counts = (struct deflate_counts){0};
}

void hub_flush_questions(struct hub *hub)
{
	open_flush(hub);
	subscribe_flush(hub);
	whereabouts_flush(hub);
	slots_flush(hub);
}

#include "common/bus/order_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "common/base/log.h"
#include "common/bus/batches.h"
#include "common/bus/event.h"
#include "common/ops/ops.h"

#define NEVER INT64_MAX

struct early { /* an event that came before its turn */
	struct early *previous, *next;
	struct bus_event *ev;
	uint64_t seq;
	size_t size_bytes;
};

struct followed {
	uint64_t key[2]; /* rank and id: without padding, as the table wants it */
	struct stream stream;
	uint32_t references;
	uint64_t applied;
	uint64_t target;
	bool behind;           /* nothing is buffered until the log was read to its head */
	bool unverified;       /* new: what the log has beyond `applied` is not known yet */
	uint64_t ticket;       /* of the fetch on its way, 0: none */
	uint64_t asked_after;  /* what that fetch asked for */
	int64_t fetch_at;      /* NEVER: nothing is missing, or a fetch is on its way */
	struct followed *prev, *next; /* among those that have a fetch_at */
	int32_t retry_ms;
	struct early *first, *last; /* ascending, without doubles, all above applied */
	size_t buffered_bytes;
	UT_hash_handle hh;
};

struct order_core {
	struct order_core_options options;
	struct bus_order_callbacks tell;
	struct followed *followed;
	struct followed *waiting; /* those that have a fetch_at */
	struct batches *batches;
	char generation[FRAME_GENERATION_SIZE];
	int64_t doubt_again_at; /* another generation that the log has just denied is not asked about before */
	size_t buffered_bytes;
	size_t behind;
	uint64_t last_ticket;
	uint64_t dice;
	int64_t next_fetch_at; /* no stream is due before; may be too early, never too late */

	/* heads: one question at a time, in chunks */
	int64_t heads_all_at; /* ask for every stream; NEVER: no need */
	int64_t heads_new_at; /* ask for the unverified ones */
	int64_t heads_pause_until, heads_retry_at;
	uint64_t heads_first_ticket, heads_last_ticket; /* of the question on its way */
	size_t heads_open;     /* chunks without an answer */
	bool heads_failed;
	int32_t heads_retry_ms;
};

static void *memory(size_t size)
{
	void *at = calloc(1, size);

	if (at == NULL) {
		log_error("out_of_memory", LOG_U64("size_bytes", size));
		abort();
	}
	return at;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t jitter(struct order_core *core)
{
	core->dice ^= core->dice << 13; /* xorshift64 */
	core->dice ^= core->dice >> 7;
	core->dice ^= core->dice << 17;
	return (int64_t)(core->dice % (ORDER_JITTER_MS + 1));
}

static int32_t backoff(int32_t *retry_ms)
{
	int32_t wait = *retry_ms > 0 ? *retry_ms : ORDER_RETRY_LEAST_MS;

	*retry_ms = wait * 2 < ORDER_RETRY_MOST_MS ? wait * 2 : ORDER_RETRY_MOST_MS;
	return wait;
}

struct order_core *order_core_create(const struct order_core_options *options)
{
	struct order_core *core = memory(sizeof *core);

	core->options = *options;
	core->tell = options->callbacks;
	if (core->options.stream_buffer_bytes == 0)
		core->options.stream_buffer_bytes = (size_t)4 << 20;
	if (core->options.total_buffer_bytes == 0)
		core->options.total_buffer_bytes = (size_t)64 << 20;
	core->batches = batches_create();
	core->dice = options->seed | 1;
	core->next_fetch_at = NEVER;
	core->heads_all_at = core->heads_new_at = NEVER;
	return core;
}

/* ---- the buffer of a stream */

static void early_remove(struct order_core *core, struct followed *f, struct early *e)
{
	if (e->previous != NULL)
		e->previous->next = e->next;
	else
		f->first = e->next;
	if (e->next != NULL)
		e->next->previous = e->previous;
	else
		f->last = e->previous;
	f->buffered_bytes -= e->size_bytes;
	core->buffered_bytes -= e->size_bytes;
	bus_event_unref(e->ev);
	free(e);
}

static void buffer_drop(struct order_core *core, struct followed *f)
{
	while (f->first != NULL)
		early_remove(core, f, f->first);
}

static void behind_set(struct order_core *core, struct followed *f, bool behind)
{
	if (f->behind == behind)
		return;
	f->behind = behind;
	core->behind += behind ? 1 : (size_t)-1;
	if (behind) {
		buffer_drop(core, f);
		log_info("stream_behind", LOG_U64("rank", f->stream.rank), LOG_ID("stream", f->stream.id), LOG_U64("applied", f->applied));
	}
}

static void buffer_add(struct order_core *core, struct followed *f, const struct logged_event *logged)
{
	struct early *before = f->last;

	while (before != NULL && before->seq > logged->seq) /* mostly it is the newest */
		before = before->previous;
	if (before != NULL && before->seq == logged->seq)
		return;
	struct early *e = memory(sizeof *e);
	e->ev = bus_event_create(logged);
	e->seq = logged->seq;
	e->size_bytes = sizeof *e + bus_event_size(e->ev);
	e->previous = before;
	e->next = before != NULL ? before->next : f->first;
	if (before != NULL)
		before->next = e;
	else
		f->first = e;
	if (e->next != NULL)
		e->next->previous = e;
	else
		f->last = e;
	f->buffered_bytes += e->size_bytes;
	core->buffered_bytes += e->size_bytes;
	if (f->buffered_bytes > core->options.stream_buffer_bytes || core->buffered_bytes > core->options.total_buffer_bytes)
		behind_set(core, f, true);
}

/* ---- applying */

static void deliver(struct order_core *core, struct followed *f, struct bus_event *ev)
{
	f->applied++;
	if (f->target < f->applied)
		f->target = f->applied;
	core->tell.event(core->tell.arg, ev);
}

/* What waited for its turn. */
static void drain(struct order_core *core, struct followed *f)
{
	while (f->first != NULL && f->first->seq <= f->applied + 1) {
		struct early *e = f->first;
		if (e->seq == f->applied + 1)
			deliver(core, f, e->ev);
		early_remove(core, f, e);
	}
}

static void fetch_schedule(struct order_core *core, struct followed *f, int64_t at)
{
	if (f->fetch_at == NEVER)
		DL_APPEND(core->waiting, f);
	f->fetch_at = at;
	core->next_fetch_at = earlier(core->next_fetch_at, at);
}

static void fetch_cancel(struct order_core *core, struct followed *f)
{
	if (f->fetch_at != NEVER)
		DL_DELETE(core->waiting, f);
	f->fetch_at = NEVER;
}

/* After anything that moved applied or target: is something missing, and since when? */
static void settle(struct order_core *core, struct followed *f, int64_t missing_from_ms)
{
	if (f->applied >= f->target) {
		fetch_cancel(core, f);
		f->retry_ms = 0;
		return;
	}
	if (f->ticket == 0 && f->fetch_at == NEVER) {
		metric_add(bus_gaps, 1);
		fetch_schedule(core, f, missing_from_ms);
	}
}

static void target_raise(struct order_core *core, struct followed *f, uint64_t seq, int64_t fetch_at)
{
	if (seq > f->target)
		f->target = seq;
	settle(core, f, fetch_at);
}

static void event_arrived(struct order_core *core, struct followed *f, const struct logged_event *logged, int64_t now)
{
	if (logged->seq <= f->applied)
		return; /* a double */
	if (logged->seq == f->applied + 1) {
		struct bus_event *ev = bus_event_create(logged);
		deliver(core, f, ev);
		bus_event_unref(ev);
		drain(core, f);
		/* A hole further on is a new one, and its missing event may still be on its way. */
		if (f->retry_ms == 0)
			fetch_cancel(core, f);
	} else if (!f->behind) {
		buffer_add(core, f, logged);
	}
	target_raise(core, f, logged->seq, now + ORDER_HOLE_WAIT_MS + jitter(core));
}

/* ---- streams */

static struct followed *find(struct order_core *core, struct stream s)
{
	uint64_t key[2] = {s.rank, s.id};
	struct followed *f = NULL;

	HASH_FIND(hh, core->followed, key, sizeof key, f);
	return f;
}

static void forget(struct order_core *core, struct followed *f)
{
	behind_set(core, f, false);
	buffer_drop(core, f);
	fetch_cancel(core, f);
	HASH_DEL(core->followed, f);
	free(f);
}

static void heads_want_all(struct order_core *core, int64_t now)
{
	int64_t at = later(now + ORDER_HEADS_WAIT_MS, later(core->heads_pause_until, core->heads_retry_at));

	if (core->followed != NULL)
		core->heads_all_at = earlier(core->heads_all_at, at);
}

static void heads_want_new(struct order_core *core, int64_t now)
{
	core->heads_new_at = earlier(core->heads_new_at, later(now + ORDER_HEADS_WAIT_MS, core->heads_retry_at));
}

void order_core_follow(struct order_core *core, struct stream s, uint64_t at, void *cookie, int64_t now_mono_ms)
{
	struct followed *f = find(core, s);

	if (f == NULL) {
		f = memory(sizeof *f);
		f->key[0] = s.rank;
		f->key[1] = s.id;
		f->stream = s;
		f->applied = f->target = at;
		f->fetch_at = NEVER;
		f->unverified = true;
		HASH_ADD(hh, core->followed, key, sizeof f->key, f);
		heads_want_new(core, now_mono_ms);
	}
	f->references++;
	core->tell.followed(core->tell.arg, s, f->applied, cookie);
}

void order_core_unfollow(struct order_core *core, struct stream s)
{
	struct followed *f = find(core, s);

	if (f != NULL && --f->references == 0)
		forget(core, f);
}

void order_core_hint(struct order_core *core, struct stream s, uint64_t seq, int64_t now_mono_ms)
{
	struct followed *f = find(core, s);

	if (f != NULL)
		target_raise(core, f, seq, now_mono_ms + ORDER_HOLE_WAIT_MS + jitter(core));
}

void order_core_destroy(struct order_core *core)
{
	struct followed *f, *after;

	if (core == NULL)
		return;
	HASH_ITER(hh, core->followed, f, after)
	{
		forget(core, f);
	}
	batches_destroy(core->batches);
	free(core);
}

/* ---- generations */

static void generation_change(struct order_core *core, const char *generation)
{
	struct followed *f, *after;
	bool first = core->generation[0] == '\0';

	log_info("generation", LOG_STR("now", generation), LOG_STR("before", core->generation));
	snprintf(core->generation, sizeof core->generation, "%s", generation);
	if (first)
		return; /* nothing was applied under another one */
	HASH_ITER(hh, core->followed, f, after)
	{
		forget(core, f);
	}
	core->heads_all_at = core->heads_new_at = NEVER;
	core->heads_first_ticket = core->heads_last_ticket = 0; /* what is on its way speaks of streams that are gone */
	core->heads_open = 0;
	core->tell.generation(core->tell.arg, core->generation);
}

/* May what this frame says be used? The log alone knows which of two generations is the newer one. */
static bool generation_accepts(struct order_core *core, const char *generation, int64_t now)
{
	if (generation[0] == '\0' || strcmp(generation, core->generation) == 0)
		return true;
	/* Who follows nothing has no positions to lose, and nothing to ask the log about. */
	if (core->generation[0] == '\0' || core->followed == NULL) {
		generation_change(core, generation);
		return true;
	}
	if (now >= core->doubt_again_at) {
		core->doubt_again_at = now + ORDER_RETRY_MOST_MS;
		heads_want_all(core, now);
	}
	return false;
}

/* ---- frames */

static void batch_apply(struct order_core *core, const struct frame *frame, int64_t now)
{
	struct wire_reader r = wire_reader_on(frame->body, frame->body_length);
	struct logged_event logged;
	const uint8_t *bytes = NULL;
	size_t length = 0;

	while (frame_next_event(&r, &logged)) {
		struct followed *f = find(core, logged.stream);
		if (f != NULL)
			event_arrived(core, f, &logged, now);
	}
	if (r.malformed) {
		order_core_frame_lost(core, now);
		return;
	}
	r = wire_reader_on(frame->body, frame->body_length);
	while (frame_next_ephemeral(&r, &bytes, &length)) {
		struct bus_event *ev = bus_event_create_ephemeral(bytes, length);
		if (ev != NULL)
			core->tell.ephemeral(core->tell.arg, ev);
		bus_event_unref(ev);
	}
}

void order_core_frame(struct order_core *core, const struct frame *frame, int64_t now_mono_ms)
{
	struct wire_reader r = wire_reader_on(frame->body, frame->body_length);
	struct frame_head head;

	if (frame->kind == FRAME_NOTHING || !generation_accepts(core, frame->generation, now_mono_ms))
		return;
	if (batches_lost(core->batches, frame, now_mono_ms))
		heads_want_all(core, now_mono_ms);
	if (frame->kind == FRAME_BATCH) {
		batch_apply(core, frame, now_mono_ms);
		return;
	}
	while (frame_next_head(&r, frame, &head))
		order_core_hint(core, head.stream, head.seq, now_mono_ms);
}

void order_core_frame_lost(struct order_core *core, int64_t now_mono_ms)
{
	log_warn("bus_frame_malformed");
	heads_want_all(core, now_mono_ms);
}

/* ---- answers of the log */

static void fetch_failed(struct order_core *core, struct followed *f, int64_t now)
{
	behind_set(core, f, true);
	fetch_schedule(core, f, now + backoff(&f->retry_ms));
}

/* The rows in order, as far as they go on from applied. Returns how many were new. */
static size_t rows_apply(struct order_core *core, struct followed *f, const pb_FetchEventsReply *reply)
{
	struct logged_event logged;
	size_t applied = 0;

	for (pb_size_t i = 0; i < reply->events_count; i++) {
		const pb_LoggedEvent *row = &reply->events[i];
		/* Those that were told meanwhile are passed over; a row of another stream or a hole would be the log's mistake. */
		if (row->rank != f->stream.rank || row->stream_id != f->stream.id || row->seq != f->applied + 1)
			continue;
		logged_event_from_row(row, &logged);
		struct bus_event *ev = bus_event_create(&logged);
		deliver(core, f, ev);
		bus_event_unref(ev);
		applied++;
	}
	drain(core, f);
	return applied;
}

void order_core_fetched(struct order_core *core, uint64_t ticket, struct stream s, enum status st, const pb_FetchEventsReply *reply,
	int64_t now_mono_ms)
{
	struct followed *f = find(core, s);

	if (f == NULL || f->ticket != ticket)
		return; /* unfollowed meanwhile */
	f->ticket = 0;
	if (st != STATUS_OK) {
		fetch_failed(core, f, now_mono_ms);
		return;
	}
	if (reply->generation != NULL && !generation_accepts(core, reply->generation, now_mono_ms)) {
		fetch_failed(core, f, now_mono_ms); /* the heads decide what it is worth */
		return;
	}
	if (rows_apply(core, f, reply) > 0)
		metric_add(bus_repairs, 1);
	/* Gone is what the log says, unless the bus brought it meanwhile. A head below what was applied already is a replica's
	 * that lags: it knows nothing about the range. */
	if (reply->gone && f->applied == f->asked_after && reply->head > f->applied) {
		f->applied = reply->head;
		core->tell.refetch(core->tell.arg, s, f->applied);
		drain(core, f);
	}
	f->target = f->target > reply->head ? f->target : reply->head;
	f->target = f->target > f->applied ? f->target : f->applied;
	if (f->applied >= reply->head && f->applied > f->asked_after)
		behind_set(core, f, false); /* caught up with the log: what is missing now may come by the bus */
	if (f->applied >= f->target) {
		behind_set(core, f, false);
		settle(core, f, NEVER);
	} else if (f->applied > f->asked_after) {
		f->retry_ms = 0;
		fetch_schedule(core, f, f->applied < reply->head ? now_mono_ms : now_mono_ms + ORDER_HOLE_WAIT_MS);
	} else {
		/* The bus knows more than this answer: a replica that lags. */
		fetch_schedule(core, f, now_mono_ms + backoff(&f->retry_ms));
	}
}

static void heads_ended(struct order_core *core, int64_t now)
{
	bool failed = core->heads_failed;

	core->heads_failed = false;
	core->heads_first_ticket = core->heads_last_ticket = 0;
	if (failed) {
		core->heads_retry_at = now + backoff(&core->heads_retry_ms);
		heads_want_all(core, now);
		return;
	}
	core->heads_retry_ms = 0;
	core->heads_retry_at = 0;
	core->heads_pause_until = now + ORDER_HEADS_PAUSE_MS;
	if (core->heads_all_at != NEVER)
		core->heads_all_at = later(core->heads_all_at, core->heads_pause_until);
}

void order_core_headed(struct order_core *core, uint64_t ticket, enum status st, const pb_StreamHeadsReply *reply, int64_t now_mono_ms)
{
	if (ticket < core->heads_first_ticket || ticket > core->heads_last_ticket || core->heads_open == 0)
		return; /* of a generation that is over */
	if (st == STATUS_OK && reply->generation != NULL && reply->generation[0] != '\0' &&
		strcmp(reply->generation, core->generation) != 0) {
		generation_change(core, reply->generation); /* forgets the question too */
		if (core->heads_open == 0)
			return;
	}
	core->heads_open--;
	if (st != STATUS_OK) {
		core->heads_failed = true;
	} else {
		for (pb_size_t i = 0; i < reply->heads_count; i++) {
			struct followed *f = find(core, (struct stream){reply->heads[i].rank, reply->heads[i].stream_id});
			if (f == NULL)
				continue;
			/* A new stream's past does not come by the bus; what was lost of an old one may be crossing still. */
			int64_t at = f->unverified ? now_mono_ms : now_mono_ms + ORDER_HOLE_WAIT_MS + jitter(core);
			f->unverified = false;
			target_raise(core, f, reply->heads[i].seq, at);
		}
	}
	if (core->heads_open == 0)
		heads_ended(core, now_mono_ms);
}

/* ---- time */

static void heads_ask(struct order_core *core, bool of_all)
{
	size_t total = HASH_COUNT(core->followed);
	struct stream *list = memory((total + 1) * sizeof *list);
	size_t count = 0;
	struct followed *f, *after;

	HASH_ITER(hh, core->followed, f, after)
	{
		if (of_all || f->unverified)
			list[count++] = f->stream;
	}
	core->heads_new_at = NEVER;
	if (of_all)
		core->heads_all_at = NEVER;
	core->heads_open = (count + ORDER_HEADS_MOST - 1) / ORDER_HEADS_MOST;
	core->heads_first_ticket = core->last_ticket + 1;
	core->last_ticket += core->heads_open;
	core->heads_last_ticket = core->last_ticket;
	for (size_t begin = 0, i = 0; begin < count; begin += ORDER_HEADS_MOST, i++) {
		size_t some = count - begin < ORDER_HEADS_MOST ? count - begin : ORDER_HEADS_MOST;
		core->options.heads(core->options.arg, core->heads_first_ticket + i, list + begin, some);
	}
	free(list);
}

static void fetches_start(struct order_core *core, int64_t now)
{
	int64_t next = NEVER;
	struct followed *f, *after;

	DL_FOREACH_SAFE(core->waiting, f, after)
	{
		if (f->fetch_at > now) {
			next = earlier(next, f->fetch_at);
			continue;
		}
		fetch_cancel(core, f);
		f->ticket = ++core->last_ticket;
		f->asked_after = f->applied;
		core->options.fetch(core->options.arg, f->ticket, f->stream, f->applied, ORDER_FETCH_LIMIT, f->target);
	}
	core->next_fetch_at = next;
}

int64_t order_core_tick(struct order_core *core, int64_t now_mono_ms)
{
	int64_t heads_at = earlier(core->heads_all_at, core->heads_new_at);

	/* One question at a time: with one on its way the next waits for the answer. */
	if (core->heads_open == 0 && now_mono_ms >= heads_at) {
		heads_ask(core, now_mono_ms >= core->heads_all_at);
		heads_at = earlier(core->heads_all_at, core->heads_new_at);
	}
	if (now_mono_ms >= core->next_fetch_at)
		fetches_start(core, now_mono_ms);
	return core->heads_open == 0 ? earlier(heads_at, core->next_fetch_at) : core->next_fetch_at;
}

const char *order_core_generation(const struct order_core *core)
{
	return core->generation;
}

struct order_core_numbers order_core_numbers(const struct order_core *core)
{
	return (struct order_core_numbers){HASH_COUNT(core->followed), core->behind, core->buffered_bytes};
}

#include "common/db/log_follower.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/db/follower_rows.h"
#include "common/db/log.h"

#define BATCH           200
#define LOOK_EVERY_MS   500   /* at what moved lately */
#define WHOLE_EVERY_MS  3000  /* at all of the window in which an event may still turn up (log_watermark: 10 s) */
#define WINDOW_SAFE_MS  5000  /* the window less the longest transaction: who looked later compares all streams */
#define SCAN_LEAST_MS   10000 /* between two comparisons */
#define SCAN_EVERY_MS   600000
#define SCAN_WAITING    10000 /* streams that wait: the comparison goes on when they are fewer */
#define LEASE_LIFE_MS   6000
#define LEASE_EVERY_MS  2000
#define FLUSH_EVERY_MS  5000 /* positions behind events of other kinds */
#define RETRY_FIRST_MS  50
#define RETRY_MOST_MS   5000
#define FAILURES_MOST   5
#define DELAYS_TOGETHER 3     /* then one event at a time */
#define FLUSH_MOST      2000  /* positions at once */
#define PAUSE_LEAST_MS  10 /* between two turns: what comes meanwhile makes one batch */
#define NOTES_MOST      65536
#define ACQUIRE_WAIT_MS 1000

/* A stream with something to do; forgotten when there is nothing. */
struct follow {
	struct stream stream; /* the key; has no padding that is not zero */
	UT_hash_handle hh;
	uint64_t head;      /* there are events up to here, as far as is known */
	int64_t waiting_ms; /* wall clock: since when the oldest of them waits */
	bool queued;
	struct follow *next;
	/* Behind events of other kinds, not saved yet. at FOLLOWER_SAVED: where the database says. */
	uint64_t at, saved;
	/* -- failures of the batch that begins at failed_seq */
	uint64_t failed_seq;
	unsigned failures, delays; /* delays: the world's fault */
	uint64_t careful_until;    /* up to there one event at a time */
	int64_t retry_mono_ms;              /* 0: not waiting */
};

struct note {
	struct stream stream;
	UT_hash_handle hh;
	uint64_t head;
	int64_t at_ms;
};

struct log_follower {
	struct log_follower_options options;
	char name[LOG_FOLLOWER_NAME_SIZE], lease[LOG_FOLLOWER_NAME_SIZE + 16], holder[80];
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;
	pthread_cond_t wakes;
	bool stopping, working; /* working: has the lease */
	struct note *notes;
	bool notes_lost; /* too many: all streams are compared */

	/* -- of the thread alone */
	struct follow *follows;
	struct follow *first, **last; /* that are queued */
	size_t queued;
	size_t look; /* rows for a batch */
	struct stream scan_at; /* rank 0: no comparison is going on */
	bool scan_wanted, more;
	int64_t lease_mono_ms, look_mono_ms, whole_mono_ms, looked_whole_mono_ms, scan_mono_ms, flush_mono_ms;
};

_Static_assert(sizeof(struct stream) == 16, "the key of a hash table: its padding is zeroed by key_of");

static struct stream key_of(struct stream s)
{
	struct stream key;

	memset(&key, 0, sizeof key);
	key.rank = s.rank;
	key.id = s.id;
	return key;
}

static void bump(_Atomic uint64_t *counter, uint64_t n)
{
	if (counter != NULL)
		atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- notes */

static bool is_wanted(const struct log_follower *f, const struct logged_event *ev)
{
	if (!(f->options.ranks >> ev->stream.rank & 1))
		return false;
	for (size_t i = 0; i < f->options.kind_count; i++)
		if (f->options.kinds[i] == ev->kind)
			return true;
	return false;
}

/* Lock held. */
static void note_one(struct log_follower *f, const struct logged_event *ev)
{
	struct stream key = key_of(ev->stream);
	struct note *note;

	HASH_FIND(hh, f->notes, &key, sizeof key, note);
	if (note == NULL) {
		if (HASH_COUNT(f->notes) >= NOTES_MOST) {
			f->notes_lost = true;
			return;
		}
		note = calloc(1, sizeof *note);
		if (note == NULL)
			abort();
		note->stream = key;
		note->at_ms = ev->at_ms;
		HASH_ADD(hh, f->notes, stream, sizeof key, note);
	}
	if (note->head < ev->seq)
		note->head = ev->seq;
}

void log_follower_note(struct log_follower *f, const struct logged_event *events, size_t count)
{
	bool some = false;

	for (size_t i = 0; i < count && !some; i++)
		some = is_wanted(f, &events[i]);
	if (!some)
		return;
	pthread_mutex_lock(&f->lock);
	if (f->working) {
		for (size_t i = 0; i < count; i++)
			if (is_wanted(f, &events[i]))
				note_one(f, &events[i]);
		pthread_cond_signal(&f->wakes);
	}
	pthread_mutex_unlock(&f->lock);
}

/* ---- streams with something to do */

static struct follow *follow_of(struct log_follower *f, struct stream s)
{
	struct stream key = key_of(s);
	struct follow *w;

	HASH_FIND(hh, f->follows, &key, sizeof key, w);
	if (w != NULL)
		return w;
	w = calloc(1, sizeof *w);
	if (w == NULL)
		abort();
	w->stream = key;
	w->at = FOLLOWER_SAVED;
	HASH_ADD(hh, f->follows, stream, sizeof key, w);
	return w;
}

static void enqueue(struct log_follower *f, struct follow *w)
{
	if (w->queued || w->retry_mono_ms != 0)
		return;
	w->queued = true;
	w->next = NULL;
	*f->last = w;
	f->last = &w->next;
	f->queued++;
}

static struct follow *dequeue(struct log_follower *f)
{
	struct follow *w = f->first;

	if (w == NULL)
		return NULL;
	f->first = w->next;
	if (f->first == NULL)
		f->last = &f->first;
	w->queued = false;
	f->queued--;
	return w;
}

static void moved(struct log_follower *f, struct stream s, uint64_t head, int64_t at_ms)
{
	struct follow *w = follow_of(f, s);

	if (w->at != FOLLOWER_SAVED && head != 0 && head <= w->at)
		return; /* a second look at what is behind us */
	if (w->head < head)
		w->head = head;
	if (w->waiting_ms == 0)
		w->waiting_ms = at_ms;
	enqueue(f, w);
}

static void forget_if_idle(struct log_follower *f, struct follow *w)
{
	if (w->queued || w->retry_mono_ms != 0 || w->careful_until != 0 || w->at != FOLLOWER_SAVED)
		return;
	HASH_DEL(f->follows, w);
	free(w);
}

static void forget_all(struct log_follower *f)
{
	struct follow *w, *next;
	struct note *note, *next_note;

	HASH_ITER(hh, f->follows, w, next)
	{
		HASH_DEL(f->follows, w);
		free(w);
	}
	f->first = NULL;
	f->last = &f->first;
	f->queued = 0;
	f->scan_at = (struct stream){0};
	pthread_mutex_lock(&f->lock);
	HASH_ITER(hh, f->notes, note, next_note)
	{
		HASH_DEL(f->notes, note);
		free(note);
	}
	f->notes_lost = false;
	pthread_mutex_unlock(&f->lock);
}

static void take_notes(struct log_follower *f)
{
	struct note *notes, *note, *next;

	pthread_mutex_lock(&f->lock);
	notes = f->notes;
	f->notes = NULL;
	f->scan_wanted = f->scan_wanted || f->notes_lost;
	f->notes_lost = false;
	pthread_mutex_unlock(&f->lock);
	HASH_ITER(hh, notes, note, next)
	{
		moved(f, note->stream, note->head, note->at_ms);
		HASH_DEL(notes, note);
		free(note);
	}
}

/* ---- one batch */

static bool is_transient(enum status st)
{
	return st == STATUS_BUSY || st == STATUS_LATE || st == STATUS_STALE;
}

/* The first event could not be handled in five attempts: the position moves behind it. */
static enum status skip(struct log_follower *f, struct db_conn *conn, struct arena *mem, const struct log_batch *b)
{
	const struct logged_event *ev = &b->events[0].logged;
	uint64_t to = b->count == 1 ? b->through : ev->seq;
	char stream[STREAM_TEXT_SIZE];
	bool saved = false;

	stream_to_text(b->stream, stream);
	log_error("follower_skipped", LOG_STR("follower", f->name), LOG_STR("stream", stream), LOG_U64("seq", ev->seq),
		LOG_U64("kind", ev->kind), LOG_STR("do", "see the failures before; what should have followed from it did not"));
	bump(f->options.metrics.skipped, 1);
	return follower_save(conn, mem, f->name, b->stream, b->after, to, &saved);
}

/* Position and effect in one transaction. The position first: it is the lock that a second copy waits at. */
static enum status handle_in_transaction(
	struct log_follower *f, struct db_conn *conn, struct arena *mem, const struct log_batch *b, bool *out_ours)
{
	enum status st = db_begin(conn);

	if (st == STATUS_OK)
		st = follower_save(conn, mem, f->name, b->stream, b->after, b->through, out_ours);
	if (st == STATUS_OK && *out_ours)
		st = f->options.handle(f->options.arg, conn, mem, b);
	if (st == STATUS_OK && *out_ours)
		return db_commit(conn);
	db_rollback(conn);
	return st;
}

static void failed(struct log_follower *f, struct follow *w, const struct log_batch *b, enum status st)
{
	uint64_t seq = b->count > 0 ? b->events[0].logged.seq : b->through;
	int64_t pause_ms = RETRY_FIRST_MS;
	char stream[STREAM_TEXT_SIZE];

	if (w->failed_seq != seq)
		w->failures = w->delays = 0;
	w->failed_seq = seq;
	if (is_transient(st))
		w->delays++;
	else
		w->failures++;
	for (unsigned i = 1; i < w->failures + w->delays && pause_ms < RETRY_MOST_MS; i++)
		pause_ms *= 2;
	if (pause_ms > RETRY_MOST_MS)
		pause_ms = RETRY_MOST_MS;
	stream_to_text(b->stream, stream);
	log_warn("follower_failed", LOG_STR("follower", f->name), LOG_STR("stream", stream), LOG_U64("seq", seq),
		LOG_U64("events", b->count), LOG_U64("failures", w->failures), LOG_STATUS("status", st));
	/* One of many: which one shows when they come one at a time. What is only too slow may be small enough then. */
	if (b->count > 1 && (w->failures > 0 || w->delays >= DELAYS_TOGETHER)) {
		w->careful_until = b->through;
		w->failures = w->delays = 0;
		pause_ms = RETRY_FIRST_MS;
	}
	w->retry_mono_ms = clock_mono_ms() + pause_ms;
}

static void succeeded(struct log_follower *f, struct follow *w, const struct follower_page *page)
{
	const struct log_batch *b = &page->batch;

	bump(f->options.metrics.events, b->count);
	w->failures = w->delays = 0;
	w->failed_seq = 0;
	if (w->careful_until <= b->through)
		w->careful_until = 0;
	w->at = FOLLOWER_SAVED;
	bool more = b->through < page->head || b->through < w->head;
	w->waiting_ms = !more ? 0 : b->count > 0 ? b->events[b->count - 1].logged.at_ms : w->waiting_ms;
	if (more)
		enqueue(f, w);
}

/* Nothing for us: the position is kept here and saved now and then. */
static void passed_over(struct log_follower *f, struct follow *w, const struct follower_page *page)
{
	if (w->at == FOLLOWER_SAVED)
		w->saved = page->saved;
	if (page->batch.through != w->saved)
		w->at = page->batch.through;
	bool more = page->batch.through < page->head;
	w->waiting_ms = more ? w->waiting_ms : 0;
	if (more)
		enqueue(f, w);
}

/* out_again: somebody has moved the position meanwhile, or we a part of the way; what remains is another batch. */
static enum status handle(struct log_follower *f, struct db_conn *conn, struct arena *mem, struct follow *w,
	const struct follower_page *page, bool *out_again)
{
	const struct log_batch *b = &page->batch;
	struct follower_page now;
	bool ours = true;

	*out_again = false;
	if (b->count == 1 && w->failures >= FAILURES_MOST && w->failed_seq == b->events[0].logged.seq)
		return skip(f, conn, mem, b);
	if (f->options.handle != NULL) {
		enum status st = handle_in_transaction(f, conn, mem, b, &ours);
		*out_again = !ours;
		return st;
	}
	enum status st = f->options.commit(f->options.arg, mem, b);
	if (follower_fetch(conn, mem, &f->options, b->stream, FOLLOWER_SAVED, 1, 1, &now) != STATUS_OK)
		return st;
	if (now.saved != b->after)
		*out_again = st != STATUS_OK;
	else if (st == STATUS_OK)
		st = STATUS_INTERNAL;
	return st;
}

/* As many rows as a batch was in: who wants nearly all of a stream shall not read ten batches for one, who wants few of its events not
 * come back for each. */
static void learn_look(struct log_follower *f, const struct follower_page *page)
{
	uint64_t after = page->saved, seen = page->batch.through - after;

	if (page->batch.through <= after || page->batch.gone)
		return;
	uint64_t look = seen * f->options.batch / (page->batch.count > 0 ? page->batch.count : 1);
	f->look = look < f->options.batch ? f->options.batch : look < FOLLOWER_LOOK_MOST ? (size_t)look : FOLLOWER_LOOK_MOST;
}

/* One batch of one stream. STATUS_BUSY: the database does not answer. */
static enum status work_on(struct log_follower *f, struct db_conn *conn, struct follow *w)
{
	struct arena *mem = arena_create();
	struct follower_page page = {0};
	size_t most = w->careful_until != 0 ? 1 : f->options.batch;
	bool again = false;

	enum status st = follower_fetch(conn, mem, &f->options, w->stream, w->at, most, f->look, &page);
	if (st != STATUS_OK) {
		w->retry_mono_ms = clock_mono_ms() + RETRY_FIRST_MS;
		arena_destroy(mem);
		return st;
	}
	learn_look(f, &page);
	if (w->at != FOLLOWER_SAVED)
		page.batch.after = w->saved;
	if (page.batch.count == 0 && !page.batch.gone) {
		passed_over(f, w, &page);
	} else {
		enum status handled = handle(f, conn, mem, w, &page, &again);
		w->at = FOLLOWER_SAVED;
		if (again)
			enqueue(f, w);
		else if (handled == STATUS_OK)
			succeeded(f, w, &page);
		else
			failed(f, w, &page.batch, handled);
	}
	forget_if_idle(f, w);
	arena_destroy(mem);
	return STATUS_OK;
}

/* ---- who moved */

static enum status scan(struct log_follower *f, struct db_conn *conn, int64_t now)
{
	if (f->scan_at.rank == 0 && (now >= f->scan_mono_ms || (f->scan_wanted && now >= f->scan_mono_ms - SCAN_EVERY_MS + SCAN_LEAST_MS))) {
		f->scan_at = follower_first(f->options.ranks);
		f->scan_mono_ms = now + SCAN_EVERY_MS;
		f->scan_wanted = false;
	}
	enum status st = STATUS_OK;
	while (st == STATUS_OK && f->scan_at.rank != 0 && f->queued < SCAN_WAITING) {
		struct arena *mem = arena_create();
		struct stream *streams;
		size_t count = 0;
		st = follower_behind(conn, mem, f->name, f->options.ranks, &f->scan_at, &streams, &count);
		for (size_t i = 0; i < count && st == STATUS_OK; i++)
			moved(f, streams[i], 0, clock_wall_ms());
		arena_destroy(mem);
	}
	return st;
}

static enum status look(struct log_follower *f, struct db_conn *conn, int64_t now)
{
	struct logged_event *heads = NULL;
	const char *generation;
	size_t count = 0;

	if (now < f->look_mono_ms)
		return STATUS_OK;
	struct arena *mem = arena_create();
	bool whole = now >= f->whole_mono_ms;
	enum status st = log_watermark(conn, mem, whole, &generation, &heads, &count);
	if (st == STATUS_OK) {
		f->look_mono_ms = now + LOOK_EVERY_MS;
		if (whole) {
			/* Too long ago: something may have come and left the window unseen. */
			f->scan_wanted = f->scan_wanted || now - f->looked_whole_mono_ms > WINDOW_SAFE_MS;
			f->looked_whole_mono_ms = now;
			f->whole_mono_ms = now + WHOLE_EVERY_MS;
		}
	}
	for (size_t i = 0; i < count && st == STATUS_OK; i++)
		if (f->options.ranks >> heads[i].stream.rank & 1)
			moved(f, heads[i].stream, heads[i].seq, clock_wall_ms());
	arena_destroy(mem);
	return st;
}

/* ---- the lease, and what is saved beside the batches */

static void set_working(struct log_follower *f, bool working)
{
	pthread_mutex_lock(&f->lock);
	bool was = f->working;
	f->working = working;
	pthread_mutex_unlock(&f->lock);
	if (was == working)
		return;
	log_info(working ? "follower_works" : "follower_rests", LOG_STR("follower", f->name));
	forget_all(f);
	/* What happened while we were away. */
	f->scan_mono_ms = f->look_mono_ms = f->whole_mono_ms = 0;
	f->looked_whole_mono_ms = clock_mono_ms();
	f->flush_mono_ms = clock_mono_ms() + FLUSH_EVERY_MS;
}

static enum status keep_lease(struct log_follower *f, struct db_conn *conn, int64_t now)
{
	bool mine = false;

	if (now < f->lease_mono_ms)
		return STATUS_OK;
	enum status st = job_lease(conn, f->lease, f->holder, LEASE_LIFE_MS, &mine);
	if (st != STATUS_OK)
		return st;
	f->lease_mono_ms = now + LEASE_EVERY_MS;
	set_working(f, mine);
	return STATUS_OK;
}

/* out_more: there are more than `most`. */
static enum status flush(struct log_follower *f, struct db_conn *conn, size_t most, bool *out_more)
{
	struct arena *mem = arena_create();
	struct follow *w, *next;
	enum status st = STATUS_OK;
	size_t left = most;
	bool moved_on;

	HASH_ITER(hh, f->follows, w, next)
	{
		if (w->at == FOLLOWER_SAVED || st != STATUS_OK || left == 0)
			continue;
		left--;
		/* Not where we thought: another copy's position is as good. */
		st = follower_save(conn, mem, f->name, w->stream, w->saved, w->at, &moved_on);
		if (st != STATUS_OK)
			continue;
		w->at = FOLLOWER_SAVED;
		forget_if_idle(f, w);
	}
	arena_destroy(mem);
	*out_more = left == 0;
	return st;
}

/* ---- the thread */

static void tell_lag(struct log_follower *f)
{
	int64_t oldest = 0, now = clock_wall_ms();
	struct follow *w, *next;

	HASH_ITER(hh, f->follows, w, next)
	{
		if (w->waiting_ms != 0 && (oldest == 0 || w->waiting_ms < oldest))
			oldest = w->waiting_ms;
	}
	if (f->options.metrics.lag_s != NULL)
		atomic_store_explicit(f->options.metrics.lag_s, oldest == 0 || oldest > now ? 0 : (now - oldest + 999) / 1000,
			memory_order_relaxed);
}

static bool is_stopping(struct log_follower *f)
{
	pthread_mutex_lock(&f->lock);
	bool stopping = f->stopping;
	pthread_mutex_unlock(&f->lock);
	return stopping;
}

/* What is queued now, a batch each; what is queued meanwhile has its turn next time. */
static enum status work(struct log_follower *f, struct db_conn *conn)
{
	enum status st = STATUS_OK;

	for (size_t n = f->queued; n > 0 && f->working && st == STATUS_OK && !is_stopping(f); n--) {
		struct follow *w = dequeue(f);
		if (w == NULL)
			break;
		st = work_on(f, conn, w);
		if (st == STATUS_OK)
			st = keep_lease(f, conn, clock_mono_ms());
	}
	return st;
}

static void wake_retries(struct log_follower *f, int64_t now)
{
	struct follow *w, *next;

	HASH_ITER(hh, f->follows, w, next)
	{
		if (w->retry_mono_ms == 0 || w->retry_mono_ms > now)
			continue;
		w->retry_mono_ms = 0;
		enqueue(f, w);
	}
}

static enum status turn(struct log_follower *f)
{
	struct db_conn *conn = NULL;
	int64_t now = clock_mono_ms();

	enum status st = db_acquire(f->options.db, now + ACQUIRE_WAIT_MS, &conn);
	if (st == STATUS_OK)
		st = keep_lease(f, conn, now);
	if (st == STATUS_OK && f->working) {
		take_notes(f);
		wake_retries(f, now);
		st = look(f, conn, now);
		if (st == STATUS_OK)
			st = scan(f, conn, now);
		if (st == STATUS_OK)
			st = work(f, conn);
		if (st == STATUS_OK && f->working && now >= f->flush_mono_ms) {
			bool more = false;
			st = flush(f, conn, FLUSH_MOST, &more);
			if (!more)
				f->flush_mono_ms = now + FLUSH_EVERY_MS;
		}
		f->more = false;
		if (st == STATUS_OK && f->working && f->options.aside != NULL) {
			struct arena *mem = arena_create();
			f->more = f->options.aside(f->options.arg, conn, mem);
			arena_destroy(mem);
		}
	}
	db_release(conn);
	tell_lag(f);
	return st;
}

static int64_t next_due(struct log_follower *f, enum status st, int64_t began, int64_t now)
{
	/* As long as it worked, at least a moment: under load it takes half a core at most, in larger batches. */
	int64_t pause = now - began > PAUSE_LEAST_MS ? now - began : PAUSE_LEAST_MS;
	int64_t due = f->lease_mono_ms;
	struct follow *w, *next;

	if (st != STATUS_OK)
		return now + LOOK_EVERY_MS;
	if (!f->working)
		return due;
	if (f->queued > 0 || f->more || f->scan_at.rank != 0)
		return now + pause;
	if (f->look_mono_ms < due)
		due = f->look_mono_ms; /* positions are flushed then too */
	HASH_ITER(hh, f->follows, w, next)
	{
		if (w->retry_mono_ms != 0 && w->retry_mono_ms < due)
			due = w->retry_mono_ms;
	}
	return due > now + pause ? due : now + pause;
}

/* Lock held. */
static bool wait_until(struct log_follower *f, int64_t mono_ms, bool for_notes)
{
	struct timespec until = clock_timespec(mono_ms);

	while (!f->stopping && !(for_notes && (f->notes != NULL || f->notes_lost)))
		if (pthread_cond_timedwait(&f->wakes, &f->lock, &until) != 0)
			break;
	return !f->stopping;
}

static void *follower_run(void *arg)
{
	struct log_follower *f = arg;
	bool go_on = true;

	while (go_on) {
		int64_t began = clock_mono_ms();
		enum status st = turn(f);
		int64_t now = clock_mono_ms(), due = next_due(f, st, began, now);
		int64_t pause = now - began > PAUSE_LEAST_MS ? now - began : PAUSE_LEAST_MS;
		pthread_mutex_lock(&f->lock);
		go_on = wait_until(f, due < now + pause ? due : now + pause, false);
		if (go_on && st == STATUS_OK)
			go_on = wait_until(f, due, true);
		else if (go_on)
			go_on = wait_until(f, due, false);
		pthread_mutex_unlock(&f->lock);
	}
	return NULL;
}

void log_follower_create(const struct log_follower_options *options, struct log_follower **out_follower)
{
	uint32_t salt;

	assert((options->handle != NULL) != (options->commit != NULL));
	assert(strlen(options->name) < LOG_FOLLOWER_NAME_SIZE && options->ranks != 0);
	struct log_follower *f = calloc(1, sizeof *f);
	if (f == NULL)
		abort();
	f->options = *options;
	snprintf(f->name, sizeof f->name, "%s", options->name);
	snprintf(f->lease, sizeof f->lease, "follow_%s", options->name);
	/* A copy that starts again under its name is another holder: it must not take over what it does not remember. */
	ids_random_bytes(&salt, sizeof salt);
	snprintf(f->holder, sizeof f->holder, "%.60s:%08x", options->instance, salt);
	f->options.name = f->name;
	if (f->options.batch == 0)
		f->options.batch = BATCH;
	f->look = f->options.batch;
	f->last = &f->first;
	pthread_mutex_init(&f->lock, NULL);
	clock_cond_init(&f->wakes);
	*out_follower = f;
}

void log_follower_start(struct log_follower *f)
{
	if (pthread_create(&f->thread, NULL, follower_run, f) != 0)
		abort();
	f->started = true;
}

static void give_back(struct log_follower *f)
{
	struct db_conn *conn = NULL;
	bool more;

	if (!f->working || db_acquire(f->options.db, clock_mono_ms() + ACQUIRE_WAIT_MS, &conn) != STATUS_OK)
		return;
	if (flush(f, conn, FLUSH_MOST, &more) == STATUS_OK)
		(void)job_release(conn, f->lease, f->holder); /* else it ends by itself */
	db_release(conn);
}

void log_follower_stop(struct log_follower *f)
{
	if (f == NULL || !f->started)
		return;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	pthread_cond_signal(&f->wakes);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	f->started = false;
	give_back(f);
	pthread_mutex_lock(&f->lock);
	f->working = false; /* notes are dropped from now on */
	pthread_mutex_unlock(&f->lock);
	if (f->options.metrics.lag_s != NULL)
		atomic_store_explicit(f->options.metrics.lag_s, 0, memory_order_relaxed);
}

void log_follower_destroy(struct log_follower *f)
{
	if (f == NULL)
		return;
	forget_all(f);
	pthread_cond_destroy(&f->wakes);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

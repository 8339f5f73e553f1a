/*
 * db/log_follower - see log_follower.h: who moved, the lease, and the thread.
 */
#include "common/db/log_follower.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/db/follower_parts.h"
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
#define FLUSH_MOST      2000  /* positions at once */
#define PAUSE_LEAST_MS  10 /* between two turns: what comes meanwhile makes one batch */
#define ACQUIRE_WAIT_MS 1000

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
			follower_moved(f, streams[i], 0, clock_wall_ms());
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
			follower_moved(f, heads[i].stream, heads[i].seq, clock_wall_ms());
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
	follower_forget_all(f);
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
		follower_forget_if_idle(f, w);
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
		struct follow *w = follower_dequeue(f);
		if (w == NULL)
			break;
		st = follower_batch(f, conn, w);
		if (st == STATUS_OK)
			st = keep_lease(f, conn, clock_mono_ms());
	}
	return st;
}

static enum status turn(struct log_follower *f)
{
	struct db_conn *conn = NULL;
	int64_t now = clock_mono_ms();

	enum status st = db_acquire(f->options.db, now + ACQUIRE_WAIT_MS, &conn);
	if (st == STATUS_OK)
		st = keep_lease(f, conn, now);
	if (st == STATUS_OK && f->working) {
		follower_take_notes(f);
		follower_wake_retries(f, now);
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
	follower_forget_all(f);
	pthread_cond_destroy(&f->wakes);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/*
 * db/follower_batch - see follower_parts.h: one batch of one stream, and what is learnt from how it went.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/follower_parts.h"

#define RETRY_FIRST_MS  50
#define RETRY_MOST_MS   5000
#define FAILURES_MOST   5
#define DELAYS_TOGETHER 3 /* then one event at a time */

static void bump(_Atomic uint64_t *counter, uint64_t n)
{
	if (counter != NULL)
		atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
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
		follower_enqueue(f, w);
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
		follower_enqueue(f, w);
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

enum status follower_batch(struct log_follower *f, struct db_conn *conn, struct follow *w)
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
			follower_enqueue(f, w);
		else if (handled == STATUS_OK)
			succeeded(f, w, &page);
		else
			failed(f, w, &page.batch, handled);
	}
	follower_forget_if_idle(f, w);
	arena_destroy(mem);
	return STATUS_OK;
}

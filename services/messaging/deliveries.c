#include "services/messaging/deliveries.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/messaging/delivery_try.h"

#define LOOK_MS 1000 /* for what other copies left, and what is due again */

/* Somebody who waits for a delivery. */
struct waiter {
	struct waiter *next;
	uint64_t id;
	int64_t until_mono_ms;
	void (*ended)(void *arg, const struct delivery_end *end);
	void *arg;
};

struct deliveries {
	struct service *service;
	struct arena *mem; /* of the networks */
	struct network *allowed;
	size_t allowed_count;
	pthread_mutex_t lock;
	pthread_cond_t work, tick;
	atomic_bool stopping;
	unsigned wanted; /* threads that are to look */
	struct waiter *waiters;
	pthread_t clock_thread, *threads;
	size_t thread_most, thread_count;
};

/* ---- rows */

static const struct db_stmt write_stmt = {
	"messaging_delivery_write",
	"INSERT INTO messaging.webhook_deliveries (id, webhook_id, asked_by, input, trace) VALUES ($1, $2, $3, $4, $5)",
};
static const struct db_stmt count_stmt = {
	"messaging_delivery_count",
	"SELECT count(*) FROM messaging.webhook_deliveries WHERE state = 1",
};
static const struct db_stmt purge_stmt = {
	"messaging_delivery_purge",
	"WITH gone AS (DELETE FROM messaging.webhook_deliveries WHERE id IN (SELECT id FROM messaging.webhook_deliveries"
	"  WHERE ended_at < CASE state WHEN 2 THEN clock_timestamp() - interval '1 day' ELSE to_timestamp($1 / 1000.0) END"
	"  ORDER BY ended_at LIMIT 500) RETURNING 1) SELECT count(*) FROM gone",
};

enum status delivery_write(struct log_tx *tx, uint64_t id, uint64_t webhook_id, uint64_t asked_by, const char *input, const char *trace)
{
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, id);
	db_put_id(&params, webhook_id);
	db_put_id(&params, asked_by);
	db_put_text(&params, input);
	db_put_text(&params, trace);
	return log_tx_query(tx, &write_stmt, &params, NULL);
}

enum status deliveries_purge(struct db_conn *conn, struct arena *mem, int64_t before_ms, uint64_t *out_rows)
{
	struct db_rows rows;

	do {
		struct db_params params;
		rows = (struct db_rows){0};
		db_params_begin(&params, mem);
		db_put_i64(&params, before_ms);
		enum status st = db_query(conn, mem, &purge_stmt, &params, &rows);
		if (st != STATUS_OK)
			return st;
		*out_rows += db_id(&rows, 0, 0);
	} while (db_id(&rows, 0, 0) > 0);
	return STATUS_OK;
}

/* ---- who waits */

static struct waiter *take_waiter(struct deliveries *d, uint64_t id)
{
	struct waiter *found = NULL;

	pthread_mutex_lock(&d->lock);
	for (struct waiter **at = &d->waiters; *at != NULL; at = &(*at)->next)
		if ((*at)->id == id) {
			found = *at;
			*at = found->next;
			break;
		}
	pthread_mutex_unlock(&d->lock);
	return found;
}

static void tell(struct waiter *w, const struct delivery_end *end)
{
	w->ended(w->arg, end);
	free(w);
}

static void tell_of(void *arg, uint64_t id, const struct delivery_end *end)
{
	struct deliveries *d = arg;
	for (struct waiter *w; (w = take_waiter(d, id)) != NULL;)
		tell(w, end);
}

/* Those whose time is over; with `all`, everybody. */
static void expire_waiters(struct deliveries *d, bool all)
{
	int64_t now = clock_mono_ms();
	struct waiter *over = NULL;

	pthread_mutex_lock(&d->lock);
	for (struct waiter **at = &d->waiters; *at != NULL;) {
		struct waiter *w = *at;
		if (!all && w->until_mono_ms > now) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = over;
		over = w;
	}
	pthread_mutex_unlock(&d->lock);
	while (over != NULL) {
		struct waiter *w = over;
		over = w->next;
		tell(w, &(struct delivery_end){.status = STATUS_OK, .waiting = true});
	}
}

void delivery_await(struct deliveries *d, uint64_t id, int64_t until_mono_ms, void (*ended)(void *arg, const struct delivery_end *end),
	void *arg)
{
	struct waiter *w = d != NULL ? malloc(sizeof *w) : NULL;
	bool waits = false;

	if (w != NULL) {
		*w = (struct waiter){.id = id, .until_mono_ms = until_mono_ms, .ended = ended, .arg = arg};
		pthread_mutex_lock(&d->lock);
		waits = !d->stopping;
		if (waits) {
			w->next = d->waiters;
			d->waiters = w;
			d->wanted++;
			pthread_cond_signal(&d->work);
			pthread_cond_signal(&d->tick);
		}
		pthread_mutex_unlock(&d->lock);
	}
	if (!waits) {
		free(w);
		ended(arg, &(struct delivery_end){.status = STATUS_OK, .waiting = true});
	}
}

/* ---- threads */

static bool wait_for_work(struct deliveries *d)
{
	pthread_mutex_lock(&d->lock);
	while (d->wanted == 0 && !d->stopping)
		pthread_cond_wait(&d->work, &d->lock);
	bool stopping = d->stopping;
	if (d->wanted > 0)
		d->wanted--;
	pthread_mutex_unlock(&d->lock);
	return !stopping;
}

static void want_one(struct deliveries *d)
{
	pthread_mutex_lock(&d->lock);
	if (d->wanted < d->thread_most)
		d->wanted++;
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
}

static void *delivery_thread(void *arg)
{
	struct deliveries *d = arg;
	struct arena *mem = arena_create();

	while (wait_for_work(d)) {
		bool found = false;
		struct delivery_try *t = ARENA_NEW(mem, struct delivery_try);
		*t = (struct delivery_try){.service = d->service,
			.mem = mem,
			.allowed = d->allowed,
			.allowed_count = d->allowed_count,
			.stop = &d->stopping,
			.tell = tell_of,
			.arg = d};
		if (db_up(d->service->db) && delivery_claim(t, &found) == STATUS_OK && found) {
			want_one(d); /* there may be more, and this one may take its time */
			log_set_trace(t->trace);
			delivery_attempt(t);
			log_set_trace(NULL);
			want_one(d); /* its webhook has room for another */
		}
		arena_reset(mem);
	}
	arena_destroy(mem);
	return NULL;
}

static void count_waiting(struct deliveries *d, struct arena *mem)
{
	struct db_rows rows = {0};

	if (db_up(d->service->db) && delivery_run(d->service, mem, &count_stmt, NULL, &rows) == STATUS_OK)
		metric_set(webhook_waiting, db_i64(&rows, 0, 0));
	arena_reset(mem);
}

/* Looks once a second, and ends the patience of who waits. */
static void *clock_thread(void *arg)
{
	struct deliveries *d = arg;
	struct arena *mem = arena_create();
	int64_t look = 0;

	for (;;) {
		int64_t now = clock_mono_ms();
		if (now >= look) {
			want_one(d);
			count_waiting(d, mem);
			look = now + LOOK_MS;
		}
		pthread_mutex_lock(&d->lock);
		int64_t next = look;
		for (const struct waiter *w = d->waiters; w != NULL; w = w->next)
			if (w->until_mono_ms < next)
				next = w->until_mono_ms;
		struct timespec until = clock_timespec(next);
		if (!d->stopping && next > now)
			pthread_cond_timedwait(&d->tick, &d->lock, &until);
		bool stopping = d->stopping;
		pthread_mutex_unlock(&d->lock);
		expire_waiters(d, stopping);
		if (stopping)
			break;
	}
	arena_destroy(mem);
	return NULL;
}

static void free_all(struct deliveries *d)
{
	pthread_cond_destroy(&d->tick);
	pthread_cond_destroy(&d->work);
	pthread_mutex_destroy(&d->lock);
	free(d->threads);
	arena_destroy(d->mem);
	free(d);
}

enum status deliveries_start(struct service *s, struct deliveries **out_deliveries)
{
	struct deliveries *d = calloc(1, sizeof *d);
	size_t threads = (size_t)s->config->webhook_threads;
	const char *bad = NULL;

	if (d == NULL)
		return STATUS_INTERNAL;
	d->service = s;
	d->mem = arena_create();
	d->thread_most = threads;
	d->threads = calloc(threads, sizeof *d->threads);
	pthread_mutex_init(&d->lock, NULL);
	clock_cond_init(&d->work);
	clock_cond_init(&d->tick);
	enum status st = d->threads == NULL ? STATUS_INTERNAL : STATUS_OK;
	if (st == STATUS_OK)
		st = networks_parse(d->mem, s->config->webhook_allow, &d->allowed, &d->allowed_count, &bad);
	if (bad != NULL)
		log_error("setting_invalid", LOG_STR("setting", "GUILDHALL_WEBHOOK_ALLOW"), LOG_STR("entry", bad));
	if (st == STATUS_OK && pthread_create(&d->clock_thread, NULL, clock_thread, d) != 0)
		st = STATUS_INTERNAL;
	if (st != STATUS_OK) {
		free_all(d);
		return st;
	}
	while (d->thread_count < threads && pthread_create(&d->threads[d->thread_count], NULL, delivery_thread, d) == 0)
		d->thread_count++;
	*out_deliveries = d;
	return STATUS_OK;
}

void deliveries_stop(struct deliveries *d)
{
	if (d == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_cond_broadcast(&d->work);
	pthread_cond_broadcast(&d->tick);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->clock_thread, NULL);
	for (size_t i = 0; i < d->thread_count; i++)
		pthread_join(d->threads[i], NULL);
	expire_waiters(d, true);
}

void deliveries_destroy(struct deliveries *d)
{
	if (d != NULL)
		free_all(d);
}

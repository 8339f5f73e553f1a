#include "services/messaging/deliveries.h"

#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/json/writer.h"
#include "common/net/fetch.h"
#include "common/ops/ops.h"
#include "services/messaging/webhook_posts.h"

#define LOOK_MS    1000 /* for what other copies left, and what is due again */
#define ACQUIRE_MS 2000
#define POST_MS    5000

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
	bool stopping;
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
/* Not those of a webhook that is busy with DELIVERY_AT_ONCE already; two who claim at once may find it less busy than it is. */
static const struct db_stmt claim_stmt = {
	"messaging_delivery_claim",
	"UPDATE messaging.webhook_deliveries d SET tries = d.tries + 1, running_until = clock_timestamp() + make_interval(secs => $1)"
	" WHERE d.id = (SELECT c.id FROM messaging.webhook_deliveries c WHERE c.state = 1 AND c.run_at <= clock_timestamp()"
	"  AND (c.running_until IS NULL OR c.running_until < clock_timestamp())"
	"  AND (SELECT count(*) FROM messaging.webhook_deliveries b WHERE b.webhook_id = c.webhook_id AND b.state = 1"
	"   AND b.running_until > clock_timestamp()) < $2"
	"  ORDER BY c.run_at, c.id LIMIT 1 FOR UPDATE SKIP LOCKED)"
	" RETURNING d.id, d.webhook_id, d.input, d.trace, d.tries, d.created_at < clock_timestamp() - make_interval(secs => $3)",
};
/* tries: only while it is still this holder's. */
static const struct db_stmt later_stmt = {
	"messaging_delivery_later",
	"UPDATE messaging.webhook_deliveries SET run_at = clock_timestamp() + $3 * interval '1 millisecond', running_until = NULL, why = $4"
	" WHERE id = $1 AND tries = $2 AND state = 1",
};
static const struct db_stmt end_stmt = {
	"messaging_delivery_end",
	"UPDATE messaging.webhook_deliveries SET state = CASE WHEN $3::int8 IS NOT NULL THEN 2 ELSE 3 END, message_id = $3, why = $4,"
	" input = '', running_until = NULL, ended_at = clock_timestamp() WHERE id = $1 AND tries = $2 AND state = 1",
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

/* A statement on a connection of its own. */
static enum status run(struct deliveries *d, struct arena *mem, const struct db_stmt *stmt, const struct db_params *params,
	struct db_rows *out_rows)
{
	struct db_conn *conn = NULL;

	enum status st = db_acquire(d->service->db, clock_mono_ms() + ACQUIRE_MS, &conn);
	if (st == STATUS_OK)
		st = db_query(conn, mem, stmt, params, out_rows);
	db_release(conn);
	return st;
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

static void tell_of(struct deliveries *d, uint64_t id, const struct delivery_end *end)
{
	struct waiter *w = take_waiter(d, id);

	if (w != NULL)
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

/* ---- one try */

struct try {
	struct deliveries *d;
	struct arena *mem;
	uint64_t id, webhook_id;
	const char *input, *trace;
	int tries;
	bool old;
	struct webhook webhook;
	pb_MessageReply posted;
	struct post_end end;
	sem_t ended;
};

static enum status claim(struct try *t, bool *out_found)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, t->mem);
	db_put_i32(&params, DELIVERY_LEASE_S + (int32_t)(t->d->service->config->webhook_timeout_ms / 1000));
	db_put_i32(&params, DELIVERY_AT_ONCE);
	db_put_i32(&params, DELIVERY_LIFE_S);
	enum status st = run(t->d, t->mem, &claim_stmt, &params, &rows);
	*out_found = st == STATUS_OK && rows.count > 0;
	if (!*out_found)
		return st;
	t->id = db_id(&rows, 0, 0);
	t->webhook_id = db_id(&rows, 0, 1);
	t->input = arena_strdup(t->mem, db_text(&rows, 0, 2));
	t->trace = arena_strdup(t->mem, db_text(&rows, 0, 3));
	t->tries = (int)db_i64(&rows, 0, 4);
	t->old = db_bool(&rows, 0, 5);
	return STATUS_OK;
}

/* What cannot be written down now is tried again when its lease ends. */
static void write_down(struct try *t, const struct db_stmt *stmt, int64_t number, bool has_number, const char *why)
{
	struct db_params params;

	db_params_begin(&params, t->mem);
	db_put_id(&params, t->id);
	db_put_i32(&params, t->tries);
	if (has_number)
		db_put_i64(&params, number);
	else
		db_put_id_or_null(&params, 0);
	db_put_text(&params, why);
	enum status st = run(t->d, t->mem, stmt, &params, NULL);
	if (st != STATUS_OK)
		log_warn("delivery_not_written", LOG_ID("delivery", t->id), LOG_STATUS("status", st));
}

static void give_up(struct try *t, enum status st, const char *why, const char *detail)
{
	write_down(t, &end_stmt, 0, false, why);
	metric_add(webhook_given_up, 1);
	log_info("delivery_given_up", LOG_ID("delivery", t->id), LOG_ID("webhook", t->webhook_id), LOG_STR("why", why),
		LOG_I64("tries", t->tries));
	tell_of(t->d, t->id, &(struct delivery_end){.status = st, .why = why, .detail = detail});
}

/* wait_ms: that somebody asked for, or 0. */
static void try_later(struct try *t, const char *why, int64_t wait_ms)
{
	int64_t pause = delivery_pause_ms(t->d->service->config->webhook_retry_ms, t->tries, randombytes_uniform(1000));

	if (t->tries >= DELIVERY_TRIES || t->old) {
		give_up(t, STATUS_CONFLICT, why, "The webhook did not answer");
		return;
	}
	write_down(t, &later_stmt, pause > wait_ms ? pause : wait_ms, true, why);
	metric_add(webhook_retries, 1);
	log_info("delivery_put_off", LOG_ID("delivery", t->id), LOG_ID("webhook", t->webhook_id), LOG_STR("why", why),
		LOG_I64("tries", t->tries));
	tell_of(t->d, t->id, &(struct delivery_end){.status = STATUS_OK, .waiting = true});
}

/* Any thread. */
static void post_has_ended(void *arg, const struct post_end *end)
{
	struct try *t = arg;

	t->end = *end;
	sem_post(&t->ended);
}

/* The same id for every try: the answer of another try may have been posted before its row was marked. */
static void post_id(uint64_t id, pb_RpcHeader *header)
{
	unsigned char bytes[16] = "delivery";

	memcpy(bytes + 8, &id, sizeof id);
	memcpy(header->request_id.bytes, bytes, sizeof bytes);
	header->request_id.size = sizeof bytes;
}

static void post(struct try *t, const struct delivery_answer *answer)
{
	pb_RpcHeader header = {0};
	struct rpc_call call = {.mem = t->mem,
		.header = &header,
		.method = &rpc_messaging_post_message,
		.deadline_mono_ms = clock_mono_ms() + POST_MS};

	post_id(t->id, &header);
	snprintf(header.trace_id, sizeof header.trace_id, "%s", t->trace);
	webhook_post(t->d->service, &(struct webhook_post){.call = &call,
					    .webhook = &t->webhook,
					    .content = answer->text,
					    .shown_name = answer->name,
					    .shown_avatar = answer->avatar,
					    .reply = &t->posted,
					    .ended = post_has_ended,
					    .arg = t});
	while (sem_wait(&t->ended) != 0)
		;
	enum status st = t->end.status;
	if (st == STATUS_OK) {
		write_down(t, &end_stmt, (int64_t)t->posted.message.id, true, NULL);
		metric_add(webhook_delivered, 1);
		tell_of(t->d, t->id, &(struct delivery_end){.status = STATUS_OK, .posted = &t->posted});
	} else if (st == STATUS_BUSY || st == STATUS_LATE || st == STATUS_STALE || st == STATUS_SLOW_MODE || st == STATUS_INTERNAL) {
		try_later(t, status_wire(st), t->end.retry_after_ms);
	} else {
		give_up(t, st, t->end.why != NULL ? t->end.why : status_wire(st), NULL);
	}
}

static const char *body_of(struct try *t, size_t *out_length)
{
	struct json_writer w;

	jw_begin(&w, t->mem, 256);
	jw_object(&w);
	jw_kv(&w, str, "text", t->input);
	jw_object_end(&w);
	return jw_end(&w, out_length);
}

static enum fetch_end ask(struct try *t, struct fetch_answer *out)
{
	const pb_WebhookView *view = &t->webhook.view;
	int64_t now_s = clock_wall_ms() / 1000;
	char signature[DELIVERY_SIGNATURE_SIZE], delivery[IDS_UUID_SIZE], webhook[IDS_UUID_SIZE];
	size_t length;
	const char *body = body_of(t, &length);

	delivery_sign(t->webhook.secret != NULL ? t->webhook.secret : "", now_s, body, length, signature);
	ids_to_uuid(t->id, delivery);
	ids_to_uuid(view->id, webhook);
	const char *const headers[] = {arena_printf(t->mem, "Guildhall-Timestamp: %lld", (long long)now_s),
		arena_printf(t->mem, "Guildhall-Signature: %s", signature),
		arena_printf(t->mem, "Guildhall-Delivery: %s", delivery),
		arena_printf(t->mem, "Guildhall-Webhook: %s", webhook), "Accept: application/json, text/plain", NULL};
	return fetch_post(t->mem,
		&(struct fetch_request){.url = delivery_url(t->mem, view->url, t->input),
			.content_type = "application/json",
			.body = body,
			.body_length = length,
			.headers = headers,
			.timeout_ms = (int)t->d->service->config->webhook_timeout_ms,
			.answer_most = DELIVERY_ANSWER_MAX,
			.allowed = t->d->allowed,
			.allowed_count = t->d->allowed_count},
		out);
}

static void attempt(struct try *t)
{
	struct service *s = t->d->service;
	struct fetch_answer got = {0};
	struct delivery_answer answer;
	const char *why = NULL, *detail = NULL;
	int64_t began_us = clock_mono_us();

	enum status st = webhook_find(s, t->mem, t->webhook_id, clock_mono_ms() + ACQUIRE_MS, &t->webhook);
	if (st == STATUS_BUSY || st == STATUS_INTERNAL) {
		try_later(t, status_wire(st), 0);
		return;
	}
	if (st != STATUS_OK || t->webhook.idle || t->webhook.view.url == NULL) {
		give_up(t, STATUS_CONFLICT, "webhook_gone", "The webhook is gone");
		return;
	}
	if (t->old) { /* it waited while nobody could ask */
		give_up(t, STATUS_CONFLICT, "too_old", NULL);
		return;
	}
	enum fetch_end end = ask(t, &got);
	metric_observe_us(&metrics.webhook_seconds, clock_mono_us() - began_us);
	switch (end) {
	case FETCH_DONE:
		st = delivery_read(t->mem, got.code, got.content_type, got.body, got.length, &answer, &why, &detail);
		if (st == STATUS_OK)
			post(t, &answer);
		else if (st == STATUS_BUSY)
			try_later(t, why, 0);
		else
			give_up(t, st, why, detail);
		break;
	case FETCH_NO_NAME:
	case FETCH_UNREACHABLE:
	case FETCH_TIMEOUT:
		try_later(t, fetch_end_word(end), 0);
		break;
	case FETCH_BAD_URL:
	case FETCH_REFUSED:
	case FETCH_TOO_LARGE:
		give_up(t, STATUS_CONFLICT, fetch_end_word(end),
			end == FETCH_TOO_LARGE ? "The webhook's answer is too large" : "The webhook's address may not be called");
		break;
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
		struct try *t = ARENA_NEW(mem, struct try);
		*t = (struct try){.d = d, .mem = mem};
		sem_init(&t->ended, 0, 0);
		if (db_up(d->service->db) && claim(t, &found) == STATUS_OK && found) {
			want_one(d); /* there may be more, and this one may take its time */
			log_set_trace(t->trace);
			attempt(t);
			log_set_trace(NULL);
			want_one(d); /* its webhook has room for another */
		}
		sem_destroy(&t->ended);
		arena_reset(mem);
	}
	arena_destroy(mem);
	return NULL;
}

static void count_waiting(struct deliveries *d, struct arena *mem)
{
	struct db_rows rows = {0};

	if (db_up(d->service->db) && run(d, mem, &count_stmt, NULL, &rows) == STATUS_OK)
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

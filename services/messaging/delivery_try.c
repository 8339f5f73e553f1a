#include "services/messaging/delivery_try.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/json/writer.h"
#include "common/net/fetch.h"
#include "common/ops/ops.h"

#define POST_MS 5000

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

enum status delivery_run(struct service *s, struct arena *mem, const struct db_stmt *stmt, const struct db_params *params,
	struct db_rows *out_rows)
{
	return db_query_alone(s->db, mem, stmt, params, clock_mono_ms() + DELIVERY_ACQUIRE_MS, out_rows);
}

enum status delivery_claim(struct delivery_try *t, bool *out_found)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, t->mem);
	db_put_i32(&params, DELIVERY_LEASE_S + (int32_t)(t->service->config->webhook_timeout_ms / 1000));
	db_put_i32(&params, DELIVERY_AT_ONCE);
	db_put_i32(&params, DELIVERY_LIFE_S);
	enum status st = delivery_run(t->service, t->mem, &claim_stmt, &params, &rows);
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
static void write_down(struct delivery_try *t, const struct db_stmt *stmt, int64_t number, bool has_number, const char *why)
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
	enum status st = delivery_run(t->service, t->mem, stmt, &params, NULL);
	if (st != STATUS_OK)
		log_warn("delivery_not_written", LOG_ID("delivery", t->id), LOG_STATUS("status", st));
}

static void give_up(struct delivery_try *t, enum status st, const char *why)
{
	write_down(t, &end_stmt, 0, false, why);
	metric_add(webhook_given_up, 1);
	log_info("delivery_given_up", LOG_ID("delivery", t->id), LOG_ID("webhook", t->webhook_id), LOG_STR("why", why),
		LOG_I64("tries", t->tries));
	t->tell(t->arg, t->id, &(struct delivery_end){.status = st, .why = why});
}

/* wait_ms: that somebody asked for, or 0. */
static void try_later(struct delivery_try *t, const char *why, int64_t wait_ms)
{
	int64_t pause = delivery_pause_ms(t->service->config->webhook_retry_ms, t->tries, randombytes_uniform(1000));

	if (t->tries >= DELIVERY_TRIES || t->old) {
		give_up(t, STATUS_CONFLICT, why);
		return;
	}
	write_down(t, &later_stmt, pause > wait_ms ? pause : wait_ms, true, why);
	metric_add(webhook_retries, 1);
	log_info("delivery_put_off", LOG_ID("delivery", t->id), LOG_ID("webhook", t->webhook_id), LOG_STR("why", why),
		LOG_I64("tries", t->tries));
	t->tell(t->arg, t->id, &(struct delivery_end){.status = STATUS_OK, .waiting = true});
}

/* Any thread. */
static void post_has_ended(void *arg, const struct post_end *end)
{
	struct delivery_try *t = arg;

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

static struct rpc_call call_of(const struct delivery_try *t, pb_RpcHeader *header)
{
	snprintf(header->trace_id, sizeof header->trace_id, "%s", t->trace);
	return (struct rpc_call){.mem = t->mem,
		.header = header,
		.method = &rpc_messaging_post_message,
		.deadline_mono_ms = clock_mono_ms() + POST_MS};
}

static void post(struct delivery_try *t, const struct delivery_answer *answer)
{
	pb_RpcHeader header = {0};
	struct rpc_call call = call_of(t, &header);

	sem_init(&t->ended, 0, 0);
	post_id(t->id, &header);
	webhook_post(t->service, &(struct webhook_post){.call = &call,
					    .webhook = &t->webhook,
					    .content = answer->text,
					    .shown_name = answer->name,
					    .shown_avatar = answer->avatar,
					    .reply = &t->posted,
					    .ended = post_has_ended,
					    .arg = t});
	while (sem_wait(&t->ended) != 0)
		;
	sem_destroy(&t->ended);
	enum status st = t->end.status;
	if (st == STATUS_OK) {
		write_down(t, &end_stmt, (int64_t)t->posted.message.id, true, NULL);
		metric_add(webhook_delivered, 1);
		t->tell(t->arg, t->id, &(struct delivery_end){.status = STATUS_OK, .posted = &t->posted});
	} else if (st == STATUS_BUSY || st == STATUS_LATE || st == STATUS_STALE || st == STATUS_SLOW_MODE || st == STATUS_INTERNAL) {
		try_later(t, status_wire(st), t->end.retry_after_ms);
	} else {
		give_up(t, st, t->end.why != NULL ? t->end.why : status_wire(st));
	}
}

static const char *body_of(struct delivery_try *t, size_t *out_length)
{
	struct json_writer w;

	jw_begin(&w, t->mem, 256);
	jw_object(&w);
	jw_kv(&w, str, "text", t->input);
	jw_object_end(&w);
	return jw_end(&w, out_length);
}

static enum fetch_end ask(struct delivery_try *t, struct fetch_answer *out)
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
			.timeout_ms = (int)t->service->config->webhook_timeout_ms,
			.answer_most = DELIVERY_ANSWER_MAX,
			.allowed = t->allowed,
			.allowed_count = t->allowed_count,
			.stop = t->stop},
		out);
}

/* Before anybody is asked. That its channel is archived is for the post to say. */
static enum status vouched(struct delivery_try *t)
{
	pb_RpcHeader header = {0};
	struct rpc_call call = call_of(t, &header);
	const char *why = NULL;

	enum status st = webhook_vouched(t->service, &call, &t->webhook, &why);
	return st == STATUS_ARCHIVED ? STATUS_OK : st;
}

void delivery_attempt(struct delivery_try *t)
{
	struct service *s = t->service;
	struct fetch_answer got = {0};
	struct delivery_answer answer;
	const char *why = NULL;
	int64_t began_us = clock_mono_us();

	enum status st = webhook_find(s, t->mem, t->webhook_id, clock_mono_ms() + DELIVERY_ACQUIRE_MS, &t->webhook);
	if (st == STATUS_OK && !t->webhook.idle)
		st = vouched(t);
	if (st == STATUS_BUSY || st == STATUS_LATE || st == STATUS_INTERNAL) {
		try_later(t, status_wire(st), 0);
		return;
	}
	if (st != STATUS_OK || t->webhook.idle || t->webhook.view.url == NULL) {
		give_up(t, STATUS_CONFLICT, "webhook_gone");
		return;
	}
	if (t->old) { /* it waited while nobody could ask */
		give_up(t, STATUS_CONFLICT, "too_old");
		return;
	}
	enum fetch_end end = ask(t, &got);
	metric_observe_us(&metrics.webhook_seconds, clock_mono_us() - began_us);
	switch (end) {
	case FETCH_DONE:
		st = delivery_read(t->mem, got.code, got.content_type, got.body, got.length, &answer, &why);
		if (st == STATUS_OK)
			post(t, &answer);
		else if (st == STATUS_BUSY)
			try_later(t, why, 0);
		else
			give_up(t, st, why);
		break;
	case FETCH_NO_NAME:
	case FETCH_UNREACHABLE:
	case FETCH_TIMEOUT:
	case FETCH_STOPPED:
		try_later(t, fetch_end_word(end), 0);
		break;
	case FETCH_BAD_URL:
	case FETCH_REFUSED:
	case FETCH_TOO_LARGE:
		give_up(t, STATUS_CONFLICT, fetch_end_word(end));
		break;
	}
}

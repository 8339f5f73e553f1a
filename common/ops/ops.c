#include "common/ops/ops.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/http/http.h"
#include "common/json/writer.h"
#include "common/ops/metrics.h"

#define WORKERS     2 /* one scraper and one probe at a time; the rest wait */
#define WAITING     16 /* connections */
#define CHECKS_MOST 16
#define DETAIL_SIZE 128

struct check {
	const char *name;
	ops_check *run;
	void *arg;
};

struct ops {
	struct arena *mem;
	const char *service;
	struct http_server *server;
	_Atomic bool draining;
	pthread_mutex_t lock; /* of the list; held for its copy, never while a check runs */
	struct check checks[CHECKS_MOST];
	size_t check_count;
};

static void answer(struct http_response *rs, int code, struct json_writer *w)
{
	rs->code = code;
	rs->content_type = "application/json";
	rs->body = jw_end(w, &rs->body_length);
}

static void answer_health(struct ops *ops, const struct http_request *rq, struct http_response *rs)
{
	struct json_writer w;

	jw_begin(&w, rq->mem, 128);
	jw_object(&w);
	jw_kv(&w, bool, "ok", true);
	jw_kv(&w, str, "service", ops->service);
	jw_kv(&w, str, "version", GUILDHALL_VERSION);
	jw_object_end(&w);
	answer(rs, 200, &w);
}

static void write_check(struct json_writer *w, const char *name, bool ok, const char *detail)
{
	jw_object(w);
	jw_kv(w, str, "name", name);
	jw_kv(w, bool, "ok", ok);
	jw_kv(w, str, "detail", detail);
	jw_object_end(w);
}

static void answer_ready(struct ops *ops, const struct http_request *rq, struct http_response *rs)
{
	struct check checks[CHECKS_MOST];
	bool oks[CHECKS_MOST];
	char details[CHECKS_MOST][DETAIL_SIZE];
	struct json_writer w;
	bool draining = atomic_load(&ops->draining);
	bool ready = !draining;

	pthread_mutex_lock(&ops->lock);
	size_t count = ops->check_count;
	memcpy(checks, ops->checks, count * sizeof *checks);
	pthread_mutex_unlock(&ops->lock);
	if (count == 0) /* nobody has said yet what readiness means here: the process is still being put together */
		ready = false;
	for (size_t i = 0; i < count; i++) {
		details[i][0] = '\0';
		oks[i] = checks[i].run(checks[i].arg, details[i], DETAIL_SIZE);
		ready = ready && oks[i];
	}
	jw_begin(&w, rq->mem, 512);
	jw_object(&w);
	jw_kv(&w, bool, "ready", ready);
	jw_key(&w, "checks");
	jw_array(&w);
	if (draining)
		write_check(&w, "draining", false, "this process is stopping");
	if (count == 0)
		write_check(&w, "started", false, "this process is starting");
	for (size_t i = 0; i < count; i++)
		write_check(&w, checks[i].name, oks[i], details[i]);
	jw_array_end(&w);
	jw_object_end(&w);
	answer(rs, ready ? 200 : 503, &w);
}

static void answer_metrics(struct ops *ops, const struct http_request *rq, struct http_response *rs)
{
	rs->code = 200;
	rs->content_type = "text/plain; version=0.0.4; charset=utf-8";
	rs->body = metrics_render(rq->mem, ops->service, &rs->body_length);
}

static void answer_status(const struct http_request *rq, struct http_response *rs, enum status st)
{
	struct json_writer w;

	jw_begin(&w, rq->mem, 128);
	jw_object(&w);
	jw_kv(&w, str, "code", status_wire(st));
	jw_object_end(&w);
	answer(rs, status_http(st), &w);
}

/* Worker thread of the ops server. */
static void handle(void *arg, const struct http_request *rq, struct http_response *rs)
{
	static const struct {
		const char *path;
		void (*answer)(struct ops *ops, const struct http_request *rq, struct http_response *rs);
	} routes[] = {
		{"/healthz", answer_health},
		{"/metrics", answer_metrics},
		{"/readyz", answer_ready},
	};

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (strcmp(rq->path, routes[i].path) != 0)
			continue;
		if (strcmp(rq->method, "GET") == 0 || strcmp(rq->method, "HEAD") == 0) {
			routes[i].answer(arg, rq, rs);
		} else {
			answer_status(rq, rs, STATUS_WRONG_METHOD);
			http_response_header(rs, "Allow", "GET, HEAD");
		}
		return;
	}
	answer_status(rq, rs, STATUS_NO_ROUTE);
}

static const char *default_listen(const char *service)
{
	static const struct {
		const char *service, *listen;
	} defaults[] = {
		{"gateway", "127.0.0.1:9101"},
		{"api", "127.0.0.1:9102"},
		{"messaging", "127.0.0.1:9103"},
		{"moderation", "127.0.0.1:9104"},
		{"presence", "127.0.0.1:9105"},
	};

	for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
		if (strcmp(defaults[i].service, service) == 0)
			return defaults[i].listen;
	return "127.0.0.1:0";
}

enum status ops_start(const struct config *config, const char *service, struct ops **out_ops)
{
	struct arena *mem = arena_create();
	struct ops *ops = ARENA_NEW(mem, struct ops);

	ops->mem = mem;
	ops->service = arena_strdup(mem, service);
	pthread_mutex_init(&ops->lock, NULL);
	const struct http_options options = {
		.listen = config->ops_listen[0] != '\0' ? config->ops_listen : default_listen(service),
		.workers = WORKERS,
		.waiting = WAITING,
		.keepalive_ms = 0, /* an idle scraper must not hold one of two workers */
		.max_body_bytes = 0,
		.handle = handle,
		.arg = ops,
	};
	enum status st = http_server_start(&options, &ops->server);
	if (st != STATUS_OK) {
		pthread_mutex_destroy(&ops->lock);
		arena_destroy(mem);
		return st;
	}
	*out_ops = ops;
	return STATUS_OK;
}

void ops_add_check(struct ops *ops, const char *name, ops_check *check, void *arg)
{
	pthread_mutex_lock(&ops->lock);
	assert(ops->check_count < CHECKS_MOST);
	ops->checks[ops->check_count++] = (struct check){name, check, arg};
	pthread_mutex_unlock(&ops->lock);
}

void ops_set_draining(struct ops *ops)
{
	atomic_store(&ops->draining, true);
}

void ops_stop(struct ops *ops)
{
	if (ops == NULL)
		return;
	http_server_stop(ops->server);
	pthread_mutex_destroy(&ops->lock);
	arena_destroy(ops->mem);
}

uint16_t ops_port(const struct ops *ops)
{
	return http_server_port(ops->server);
}

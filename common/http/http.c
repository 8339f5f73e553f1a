#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/http/address.h"
#include "common/http/parts.h"

/* A request's head: line and headers together. civetweb answers 400 to what is longer. Crust's web page asks for all people of a
 * channel in one line: a thousand ids of 20 digits, each behind "&userID%5B%5D=". The edge takes as much. */
#define HEAD_BYTES "49152"
#define REQUEST_MS 15000
/* How long a stop waits for requests in flight: civetweb writes nothing any more once mg_stop began. */
#define STOP_WAIT_MS 10000
#define WAITING_MOST 1024

struct http_server {
	struct mg_context *civetweb;
	struct http_options options;
	struct arena *mem; /* what lives as long as the server */
	struct network *trusted;
	size_t trusted_count;
	struct patience *patience;
	struct sockaddr_in address; /* what we really listen on */
	uint16_t port;
	_Atomic unsigned busy;
	_Atomic unsigned workers; /* threads */
	_Atomic unsigned held;    /* connections that have one */
	_Atomic bool stopping;
	_Atomic bool started;
	char start_error[256]; /* civetweb's first words before `started`: the cause; the rest follows from it
				*/
};

/* One a civetweb worker thread. */
struct worker {
	struct arena
		*mem; /* created by the first request: most of the threads of an idle server never see one */
	struct response_date date;
};

/* -- one request */

static const char *client_address(
	const struct http_server *server, const struct http_request *rq, const char *peer_text)
{
	const char *forwarded[MG_MAX_HEADERS];
	size_t count = 0;
	struct address peer;

	for (size_t i = 0; i < rq->header_count && count < MG_MAX_HEADERS; i++)
		if (strcasecmp(rq->headers[i].name, "X-Forwarded-For") == 0)
			forwarded[count++] = rq->headers[i].value;
	if (count == 0 || address_parse(peer_text, strlen(peer_text), &peer) != STATUS_OK)
		return peer_text;
	char *text = arena_alloc(rq->mem, ADDRESS_TEXT_SIZE);
	peer = address_of_client(server->trusted, server->trusted_count, peer, forwarded, count);
	address_format(&peer, text);
	return text;
}

/* civetweb's own rule (should_keep_alive), so that what we tell the client is what happens. */
static enum response_then wanted_then(const struct http_server *server, const struct http_request *rq, bool is_1_1)
{
	const char *connection = http_request_header(rq, "Connection");

	if (server->options.keepalive_ms <= 0)
		return RESPONSE_CLOSE;
	if (connection == NULL)
		return is_1_1 ? RESPONSE_KEEP : RESPONSE_CLOSE;
	if (strcasestr(connection, "keep-alive") == NULL || strcasestr(connection, "upgrade") != NULL)
		return RESPONSE_CLOSE;
	return is_1_1 ? RESPONSE_KEEP : RESPONSE_KEEP_AND_SAY_SO;
}

static int handle_request(struct http_server *server, struct mg_connection *conn,
	const struct mg_request_info *ri, struct worker *w)
{
	struct http_response rs = {0};
	struct http_request rq = {
		.mem = w->mem,
		.method = ri->request_method,
		.path = ri->local_uri_raw,
		.query = ri->query_string != NULL ? ri->query_string : "",
		.body = "",
	};
	struct http_stream stream;
	struct http_header *headers = arena_grow(w->mem, NULL, 0, (size_t)ri->num_headers * sizeof *headers);

	for (int i = 0; i < ri->num_headers; i++)
		headers[i] = (struct http_header){ri->http_headers[i].name, ri->http_headers[i].value};
	rq.headers = headers;
	rq.header_count = (size_t)ri->num_headers;
	enum response_then then = wanted_then(server, &rq, strcmp(ri->http_version, "1.1") == 0);

	/* civetweb drops the headers past its limit without a word; one of them may say where the body ends.
	 */
	if (ri->num_headers >= MG_MAX_HEADERS) {
		response_refuse(&rs, w->mem, 431, STATUS_MALFORMED, "too many headers");
		then = RESPONSE_CLOSE;
	} else if (atomic_load(&server->stopping)) {
		response_refuse(&rs, w->mem, status_http(STATUS_BUSY), STATUS_BUSY, "the server is stopping");
		http_response_header(&rs, "Retry-After", "1");
		then = RESPONSE_CLOSE;
	} else {
		rq.remote = client_address(server, &rq, ri->remote_addr);
		if (server->options.streams != NULL && server->options.streams(server->options.arg, &rq)) {
			body_stream_begin(&stream, conn, server->patience, ri->content_length, &rq);
			rq.stream = &stream;
		} else {
			body_read(conn, server->patience, ri->content_length, server->options.max_body_bytes,
				server->options.request_ms, &rq);
		}
		if (rq.body_too_large || rq.body_broken)
			then = RESPONSE_CLOSE;
		server->options.handle(server->options.arg, &rq, &rs);
		if (rq.stream != NULL && !stream.ended)
			then = RESPONSE_CLOSE;
		/* All workers are taken: idle connections make room for those that wait. */
		if (atomic_load(&server->stopping) || atomic_load(&server->held) >= atomic_load(&server->workers))
			then = RESPONSE_CLOSE;
	}
	response_write(conn, &w->date, w->mem, rq.method, &rs, then);
	/* Who asked whether to go on has heard the answer instead. */
	bool unread = rq.body_too_large || (rq.stream != NULL && !stream.ended);
	bool began = rq.stream != NULL && stream.begun;
	if (unread && (began || http_request_header(&rq, "Expect") == NULL))
		body_drain(conn, server->patience);
	if (rq.stream != NULL)
		body_stream_end(&stream);
	return rs.code >= 200 && rs.code <= 599 ? rs.code : 500;
}

/* civetweb worker thread; may block. Every path and method arrives here. */
static int begin_request(struct mg_connection *conn)
{
	const struct mg_request_info *ri = mg_get_request_info(conn);
	struct http_server *server = ri->user_data;
	struct worker *w = mg_get_thread_pointer(conn);

	/* Before handle_request looks at `stopping`: http_server_stop sets that first and counts afterwards,
	 * so each request is either counted or refused. */
	atomic_fetch_add(&server->busy, 1);
	if (w->mem == NULL)
		w->mem = arena_create();
	int code = handle_request(server, conn, ri, w);
	arena_reset(w->mem);
	log_set_trace(NULL);
	log_set_session(0);
	atomic_fetch_sub(&server->busy, 1);
	return code;
}

/* civetweb worker thread. What it could not parse as a request; it closes the connection after this. */
static int http_error(struct mg_connection *conn, int code, const char *text)
{
	const struct mg_request_info *ri = mg_get_request_info(conn);
	struct worker *w = mg_get_thread_pointer(conn);
	struct http_response rs = {0};

	(void)text; /* may quote the client */
	if (w == NULL || ri == NULL)
		return 1;
	struct arena *mem = arena_create();
	if (code == 505)
		response_refuse(&rs, mem, code, STATUS_NOT_IMPLEMENTED, "HTTP 1.0 and 1.1 are spoken here");
	else if (code >= 500)
		response_refuse(&rs, mem, code, STATUS_INTERNAL, status_text(STATUS_INTERNAL));
	else
		response_refuse(&rs, mem, code, STATUS_MALFORMED, "not a valid HTTP request");
	response_write(conn, &w->date, mem, "", &rs, RESPONSE_CLOSE);
	arena_destroy(mem);
	return 0;
}

/* Any civetweb thread, and http_server_start's own. */
static int log_message(const struct mg_connection *conn, const char *message)
{
	struct mg_context *civetweb = mg_get_context(conn);
	struct http_server *server = civetweb == NULL ? NULL : mg_get_user_data(civetweb);

	if (server != NULL && !atomic_load(&server->started) && server->start_error[0] == '\0')
		snprintf(server->start_error, sizeof server->start_error, "%s", message);
	else if (server == NULL || atomic_load(&server->started))
		log_warn("http_server_message", LOG_STR("text", message));
	return 1;
}

/* -- the server */

static void *init_thread(const struct mg_context *civetweb, int kind)
{
	struct worker *w = NULL;

	(void)civetweb;
	if (kind == 1) {
		w = calloc(1, sizeof *w);
		if (w == NULL) {
			log_error("out_of_memory", LOG_U64("size_bytes", sizeof *w));
			abort();
		}
	}
	return w;
}

static void exit_thread(const struct mg_context *civetweb, int kind, void *pointer)
{
	struct worker *w = pointer;

	(void)civetweb;
	(void)kind;
	if (w == NULL)
		return;
	arena_destroy(w->mem);
	free(w);
}

static void refuse_listen(const char *listen, const char *why)
{
	log_error("http_listen_invalid", LOG_STR("listen", listen), LOG_STR("why", why));
}

/* "host:port" as "address:port", the only thing civetweb takes. */
static enum status resolve_listen(const char *listen, char *out, size_t out_size)
{
	const char *colon = strrchr(listen, ':');
	char host[256], address[INET_ADDRSTRLEN];
	struct addrinfo *found = NULL;

	if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) > 5 ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535) {
		refuse_listen(listen, "write host:port");
		return STATUS_FIELD_INVALID;
	}
	int host_length = (int)(colon - listen);
	snprintf(host, sizeof host, "%.*s", host_length, listen);
	if (host[0] == '\0' || strcmp(host, "*") == 0)
		snprintf(host, sizeof host, "0.0.0.0");
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	if (host[0] == '[' || getaddrinfo(host, NULL, &hints, &found) != 0) {
		refuse_listen(
			listen, "no such host with an IPv4 address; Debian's civetweb is built without IPv6");
		return STATUS_FIELD_INVALID;
	}
	inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr, address,
		sizeof address);
	freeaddrinfo(found);
	snprintf(out, out_size, "%s:%s", address, colon + 1);
	return STATUS_OK;
}

/* Without TLS: it ends at the edge, and civetweb's own is not even loaded this way. */
static void init_civetweb(void)
{
	mg_init_library(MG_FEATURES_DEFAULT);
}

/* civetweb tries again at once, and forever, when it has no file for a connection that waits to be accepted. So it is held to the
 * number of connections that files are there for: those that its workers have and those that wait for one. The rest waits in the
 * kernel. */
static void fit_files(const struct http_options *options, int *workers, int *waiting)
{
	size_t room = files_for_connections();

	*workers = options->workers;
	*waiting = options->waiting > 0 ? options->waiting : WAITING_MOST;
	if (room >= (size_t)*workers + (size_t)*waiting)
		return;
	int files = (int)room;
	if (*workers > files / 2)
		*workers = files / 2 > 1 ? files / 2 : 1;
	if (*waiting > files - *workers)
		*waiting = files - *workers > 1 ? files - *workers : 1;
	log_warn("few_files", LOG_U64("for_connections", room), LOG_U64("workers", (uint64_t)*workers),
		LOG_U64("waiting", (uint64_t)*waiting), LOG_STR("do", "raise nofile"));
}

/* A worker takes a connection up, and lets it go. */
static int connection_begins(const struct mg_connection *conn, void **out_data)
{
	struct http_server *server = mg_get_user_data(mg_get_context(conn));

	*out_data = NULL;
	atomic_fetch_add(&server->held, 1);
	return 0;
}

static void connection_ends(const struct mg_connection *conn)
{
	struct http_server *server = mg_get_user_data(mg_get_context(conn));

	atomic_fetch_sub(&server->held, 1);
}

static enum status start_civetweb(struct http_server *server, char *address)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char workers[16], waiting[16], keepalive_ms[16], request_ms[16];
	int worker_count, waiting_count;
	struct mg_server_port port;

	fit_files(&server->options, &worker_count, &waiting_count);
	atomic_store(&server->workers, (unsigned)worker_count);
	snprintf(workers, sizeof workers, "%d", worker_count);
	snprintf(waiting, sizeof waiting, "%d", waiting_count);
	snprintf(keepalive_ms, sizeof keepalive_ms, "%d", server->options.keepalive_ms);
	snprintf(request_ms, sizeof request_ms, "%d", server->options.request_ms);
	const char *options[] = {
		"listening_ports",
		address,
		"num_threads",
		workers,
		"max_request_size",
		HEAD_BYTES,
		"request_timeout_ms",
		request_ms,
		"enable_keep_alive",
		server->options.keepalive_ms > 0 ? "yes" : "no",
		"keep_alive_timeout_ms",
		keepalive_ms,
		"tcp_nodelay",
		"1",
		"connection_queue",
		waiting,
		"listen_backlog",
		"1024",
		"decode_url",
		"no",
		"enable_directory_listing",
		"no",
		"enable_auth_domain_check",
		"no",
		NULL,
	};
	const struct mg_callbacks callbacks = {
		.begin_request = begin_request,
		.connection_closed = connection_ends,
		.http_error = http_error,
		.init_connection = connection_begins,
		.log_message = log_message,
		.init_thread = init_thread,
		.exit_thread = exit_thread,
	};

	pthread_once(&once, init_civetweb);
	server->civetweb = mg_start(&callbacks, server, options);
	if (server->civetweb == NULL) {
		bool bind_failed = strstr(server->start_error, "cannot bind") != NULL;
		log_error("http_listen_failed", LOG_STR("listen", server->options.listen),
			LOG_STR("why", server->start_error),
			LOG_STR("do",
				bind_failed ? "stop what listens there, or listen elsewhere" : "see why"));
		return bind_failed ? STATUS_CONFLICT : STATUS_INTERNAL;
	}
	atomic_store(&server->started, true);
	if (mg_get_server_ports(server->civetweb, 1, &port) != 1) {
		log_error("http_listen_failed", LOG_STR("listen", server->options.listen), LOG_STR("why", "no port"));
		mg_stop(server->civetweb);
		return STATUS_INTERNAL;
	}
	server->port = (uint16_t)port.port;
	server->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(server->port)};
	*strrchr(address, ':') = '\0';
	inet_pton(AF_INET, address, &server->address.sin_addr);
	return STATUS_OK;
}

enum status http_server_start(const struct http_options *options, struct http_server **out_server)
{
	char address[64];
	const char *bad = "";

	assert(options->handle != NULL && options->workers > 0);
	enum status st = resolve_listen(options->listen, address, sizeof address);
	if (st != STATUS_OK)
		return st;
	struct arena *mem = arena_create();
	struct http_server *server = ARENA_NEW(mem, struct http_server);
	server->mem = mem;
	server->options = *options;
	server->options.listen = arena_strdup(mem, options->listen);
	if (server->options.request_ms <= 0)
		server->options.request_ms = REQUEST_MS;
	st = networks_parse(mem, options->trusted_proxies != NULL ? options->trusted_proxies : "",
		&server->trusted, &server->trusted_count, &bad);
	if (st != STATUS_OK)
		log_error("trusted_proxies_invalid", LOG_STR("entry", bad),
			LOG_STR("do", "write addresses or networks such as 10.0.0.0/8, separated by commas"));
	server->patience = patience_create();
	if (st == STATUS_OK)
		st = server->patience != NULL ? start_civetweb(server, address) : STATUS_INTERNAL;
	if (st != STATUS_OK) {
		patience_destroy(server->patience);
		arena_destroy(mem);
		return st;
	}
	*out_server = server;
	return STATUS_OK;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}

unsigned http_server_busy(const struct http_server *server)
{
	return atomic_load(&server->busy);
}

/* civetweb's accepting thread looks at its stop flag when a connection comes, and else every 2 s. */
static void *knock(void *arg)
{
	const struct http_server *server = arg;
	const struct timespec pause = {.tv_nsec = 5000000}; /* mg_stop sets the flag first thing */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	nanosleep(&pause, NULL);
	if (fd < 0)
		return NULL;
	connect(fd, (const struct sockaddr *)(const void *)&server->address, sizeof server->address);
	close(fd);
	return NULL;
}

void http_server_stop(struct http_server *server)
{
	pthread_t knocker;

	if (server == NULL)
		return;
	atomic_store(&server->stopping, true);
	const struct timespec pause = {.tv_nsec = 2000000};
	int64_t until = clock_mono_ms() + STOP_WAIT_MS;
	while (atomic_load(&server->busy) > 0 && clock_mono_ms() < until)
		nanosleep(&pause, NULL);
	bool knocking = pthread_create(&knocker, NULL, knock, server) == 0;
	mg_stop(server->civetweb);
	if (knocking)
		pthread_join(knocker, NULL);
	patience_destroy(server->patience);
	arena_destroy(server->mem);
}

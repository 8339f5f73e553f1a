/*
 * wsclient_connect - see wsclient.h: from a URL to an open connection.
 */
#include "services/ctl/wsclient_parts.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/sha1.h"

#define DEFAULT_TIMEOUT_MS  10000
#define DEFAULT_MESSAGE_MAX ((size_t)16 << 20)
#define HEAD_MAX            16384

static void say(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(char *why, const char *format, ...)
{
	va_list values;

	if (why == NULL)
		return;
	va_start(values, format);
	vsnprintf(why, WSCLIENT_WHY_SIZE, format, values);
	va_end(values);
}

/* ---- the address */
enum status wsclient_parse_url(const char *url, struct wsclient_url *out, char *out_why)
{
	const char *at, *end, *colon;
	size_t host_length;

	*out = (struct wsclient_url){.port = "80"};
	if (strncasecmp(url, "wss://", 6) == 0) {
		say(out_why, "wss:// needs TLS, which this client has not; use the ws:// address behind the proxy");
		return STATUS_FIELD_INVALID;
	}
	if (strncasecmp(url, "ws://", 5) != 0) {
		say(out_why, "the URL must begin with ws://, as in ws://localhost:8080/v1/ws");
		return STATUS_FIELD_INVALID;
	}
	url += 5;
	end = url + strcspn(url, "/?");
	if ((size_t)(end - url) >= sizeof out->authority || end == url || memchr(url, '@', (size_t)(end - url)) != NULL) {
		say(out_why, "the URL names no host, as in ws://localhost:8080/v1/ws");
		return STATUS_FIELD_INVALID;
	}
	snprintf(out->authority, sizeof out->authority, "%.*s", (int)(end - url), url);
	if (url[0] == '[') {
		const char *bracket = memchr(url, ']', (size_t)(end - url));

		at = url + 1;
		host_length = bracket == NULL ? 0 : (size_t)(bracket - at);
		colon = bracket != NULL && bracket + 1 < end && bracket[1] == ':' ? bracket + 1 : NULL;
	} else {
		at = url;
		colon = memchr(url, ':', (size_t)(end - url));
		host_length = (size_t)((colon != NULL ? colon : end) - url);
	}
	if (host_length == 0 || host_length >= sizeof out->host) {
		say(out_why, "the URL names no host, as in ws://localhost:8080/v1/ws");
		return STATUS_FIELD_INVALID;
	}
	memcpy(out->host, at, host_length);
	if (colon != NULL) {
		size_t digits = (size_t)(end - colon - 1);

		if (digits == 0 || digits >= sizeof out->port || strspn(colon + 1, "0123456789") != digits) {
			say(out_why, "the URL's port is no number");
			return STATUS_FIELD_INVALID;
		}
		snprintf(out->port, sizeof out->port, "%.*s", (int)digits, colon + 1);
	}
	if (strlen(end) + 2 > sizeof out->target || strpbrk(end, " \r\n\t#") != NULL) {
		say(out_why, "the URL's path is too long or has blanks in it");
		return STATUS_FIELD_INVALID;
	}
	snprintf(out->target, sizeof out->target, "%s%s", end[0] == '/' ? "" : "/", end);
	return STATUS_OK;
}

/* ---- connecting */
static int connect_one(const struct addrinfo *a, const struct wsclient_options *options, int64_t deadline_mono_ms)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	int error = 0, one = 1;
	socklen_t size = sizeof error;

	if (fd < 0)
		return -1;
	if (options->receive_buffer_bytes > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options->receive_buffer_bytes, sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	if (errno == EINPROGRESS) {
		if (wsclient_wait(fd, POLLOUT, deadline_mono_ms) != STATUS_OK)
			error = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
			error = errno;
		if (error == 0)
			return fd;
		errno = error;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static enum status connect_any(const struct wsclient_url *url, const struct wsclient_options *options,
	int64_t deadline_mono_ms, int *out_fd, char *out_why)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *list = NULL;
	int rv = getaddrinfo(url->host, url->port, &hints, &list), error = 0;

	*out_fd = -1;
	if (rv != 0) {
		say(out_why, "%s: %s", url->host, gai_strerror(rv));
		return STATUS_BUSY;
	}
	/* "localhost" is two addresses, and the server may listen on one of them. */
	for (const struct addrinfo *a = list; a != NULL && *out_fd < 0; a = a->ai_next) {
		*out_fd = connect_one(a, options, deadline_mono_ms);
		error = errno;
	}
	freeaddrinfo(list);
	if (*out_fd >= 0)
		return STATUS_OK;
	say(out_why, "%s: %s; does guildhall-gateway (or the proxy before it) listen there?", url->authority, strerror(error));
	return STATUS_BUSY;
}

void wsclient_accept_of(const char *key, char out[WSCLIENT_ACCEPT_SIZE])
{
	uint8_t digest[SHA1_SIZE];
	char text[100];
	size_t length = (size_t)snprintf(text, sizeof text, "%.40s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);

	sha1(text, length, digest);
	sodium_bin2base64(out, WSCLIENT_ACCEPT_SIZE, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
}

/* The value of a header of the answer, without blanks around it; NULL when absent. */
static const char *header_of(const char *head, const char *name, size_t *out_length)
{
	size_t name_length = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, name_length) == 0 && line[name_length] == ':') {
			const char *value = line + name_length + 1;
			const char *end = strstr(value, "\r\n");

			if (end == NULL)
				return NULL;
			value += strspn(value, " \t");
			while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
				end--;
			*out_length = (size_t)(end - value);
			return value;
		}
	}
	return NULL;
}

static enum status judge_answer(const char *head, const char *key, char *out_why)
{
	char accept[WSCLIENT_ACCEPT_SIZE];
	size_t length = 0;
	const char *value;
	int code = 0;

	if (sscanf(head, "HTTP/1.1 %d", &code) != 1) {
		say(out_why, "what answers there is no HTTP server");
		return STATUS_MALFORMED;
	}
	if (code == 401) {
		say(out_why, "HTTP 401: the token is unknown, expired or revoked");
		return STATUS_UNAUTHENTICATED;
	}
	if (code != 101) {
		say(out_why, "HTTP %d instead of a websocket; is the path right (house: /v1/ws)?", code);
		return code == 503 || code == 502 || code == 429 ? STATUS_BUSY : STATUS_MALFORMED;
	}
	value = header_of(head, "Upgrade", &length);
	if (value == NULL || length != 9 || strncasecmp(value, "websocket", 9) != 0) {
		say(out_why, "the server switched to something that is no websocket");
		return STATUS_MALFORMED;
	}
	wsclient_accept_of(key, accept);
	value = header_of(head, "Sec-WebSocket-Accept", &length);
	if (value == NULL || length != strlen(accept) || memcmp(value, accept, length) != 0) {
		say(out_why, "the server's Sec-WebSocket-Accept is wrong");
		return STATUS_MALFORMED;
	}
	if (header_of(head, "Sec-WebSocket-Extensions", &length) != NULL) {
		say(out_why, "the server uses an extension that was not offered");
		return STATUS_MALFORMED;
	}
	return STATUS_OK;
}

static enum status handshake(struct wsclient *c, const struct wsclient_url *url, const struct wsclient_options *options,
	int64_t deadline_mono_ms, char *out_why)
{
	uint8_t nonce[16];
	char key[32], *request = NULL, *end = NULL;
	int length;
	enum status st = STATUS_OK;

	if (options->token != NULL && strpbrk(options->token, "\r\n") != NULL) {
		say(out_why, "the token has a line break in it");
		return STATUS_FIELD_INVALID;
	}
	ids_random_bytes(nonce, sizeof nonce);
	sodium_bin2base64(key, sizeof key, nonce, sizeof nonce, sodium_base64_VARIANT_ORIGINAL);
	length = asprintf(&request,
		"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
		"Sec-WebSocket-Version: 13\r\nUser-Agent: %s\r\n%s%s%s\r\n",
		url->target, url->authority, key,
		options->user_agent != NULL ? options->user_agent : "guildhall/" GUILDHALL_VERSION,
		options->token != NULL ? "Authorization: Bearer " : "", options->token != NULL ? options->token : "",
		options->token != NULL ? "\r\n" : "");
	if (length < 0)
		return STATUS_BUSY;
	st = wsclient_write(c->fd, request, (size_t)length, deadline_mono_ms);
	sodium_memzero(request, (size_t)length);
	free(request);
	while (st == STATUS_OK && end == NULL) {
		st = wsclient_read(c, deadline_mono_ms);
		if (st == STATUS_OK)
			end = memmem(c->in + c->in_begin, c->in_end - c->in_begin, "\r\n\r\n", 4);
		if (st == STATUS_OK && end == NULL && c->in_end - c->in_begin > HEAD_MAX)
			st = STATUS_MALFORMED;
	}
	if (st != STATUS_OK) {
		say(out_why, "%s: %s", url->authority,
			st == STATUS_LATE ? "no answer to the handshake in time" : "the connection ended in the handshake");
		return st == STATUS_LATE ? STATUS_BUSY : st;
	}
	end[2] = '\0'; /* keeps the last header's line end */
	st = judge_answer((const char *)c->in + c->in_begin, key, out_why);
	c->in_begin = (size_t)((uint8_t *)end + 4 - c->in);
	return st;
}

enum status wsclient_connect(const struct wsclient_options *options, struct wsclient **out_client, char *out_why)
{
	int64_t deadline = clock_mono_ms() + (options->timeout_ms > 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS);
	struct wsclient_url url;
	struct wsclient *c;
	int fd = -1;
	enum status st = wsclient_parse_url(options->url, &url, out_why);

	if (st == STATUS_OK)
		st = connect_any(&url, options, deadline, &fd, out_why);
	if (st != STATUS_OK)
		return st;
	c = calloc(1, sizeof *c);
	if (c == NULL) {
		close(fd);
		return STATUS_BUSY;
	}
	c->fd = fd;
	c->message_max = options->max_message_bytes > 0 ? options->max_message_bytes : DEFAULT_MESSAGE_MAX;
	st = handshake(c, &url, options, deadline, out_why);
	if (st != STATUS_OK) {
		wsclient_destroy(c);
		return st;
	}
	*out_client = c;
	return STATUS_OK;
}

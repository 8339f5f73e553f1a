#include "common/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/ids.h"

/* PIPE_BUF on Linux: up to here one write(2) to a pipe is never mixed with another process's line. */
#define LINE_BYTES 4096
/* Always left for the end of a cut value, the closing brace and the newline. */
#define RESERVE 8

static struct {
	char service[32];
	enum log_level least;
} setup = {"guildhall", LOG_INFO};

static _Thread_local struct {
	char trace[33];
	uint64_t session;
} context;

struct line {
	char bytes[LINE_BYTES];
	size_t length;
};

void log_init(const char *service, enum log_level least)
{
	snprintf(setup.service, sizeof setup.service, "%s", service);
	setup.least = least;
}

void log_set_trace(const char *trace)
{
	size_t n = trace == NULL ? 0 : strnlen(trace, sizeof context.trace - 1);

	if (n > 0)
		memcpy(context.trace, trace, n);
	context.trace[n] = '\0';
}

const char *log_trace(void)
{
	return context.trace;
}

void log_set_session(uint64_t session)
{
	context.session = session;
}

/* What may still be put without touching the reserve. */
static size_t room(const struct line *l)
{
	return l->length < LINE_BYTES - RESERVE ? LINE_BYTES - RESERVE - l->length : 0;
}

static bool put(struct line *l, const char *bytes, size_t n)
{
	if (n > room(l))
		return false;
	memcpy(l->bytes + l->length, bytes, n);
	l->length += n;
	return true;
}

/* Well-formed UTF-8 at s (NUL-terminated)? Its length, or 0. */
static size_t code_point_bytes(const unsigned char *s)
{
	size_t n = s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] >= 0xA0) ||
		(s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] >= 0x90))
		return 0;
	return n;
}

/* A quoted string; what does not fit any more is cut at a character, so that the line stays JSON. */
static void put_quoted(struct line *l, const char *text)
{
	if (!put(l, "\"", 1))
		return;
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
		char escape[8];
		bool fits;
		size_t n = 1;
		if (*s == '"' || *s == '\\') {
			fits = put(l, (char[2]){'\\', (char)*s}, 2);
		} else if (*s == '\n') {
			fits = put(l, "\\n", 2);
		} else if (*s < 0x20 || *s == 0x7F) {
			snprintf(escape, sizeof escape, "\\u%04x", *s);
			fits = put(l, escape, 6);
		} else if (*s < 0x80) {
			fits = put(l, (const char *)s, 1);
		} else {
			n = code_point_bytes(s);
			fits = n > 0 ? put(l, (const char *)s, n) : put(l, "\xEF\xBF\xBD", 3);
			n += n == 0;
		}
		if (!fits)
			break;
		s += n;
	}
	l->bytes[l->length++] = '"'; /* from the reserve */
}

/* False when there is no room for the key and a value worth reading: then the field is left out. */
static bool put_key(struct line *l, const char *key)
{
	if (strlen(key) + 48 > room(l))
		return false;
	put(l, l->length == 0 ? "{" : ",", 1);
	put_quoted(l, key);
	return put(l, ":", 1);
}

static void put_pair(struct line *l, const char *key, const char *text)
{
	if (put_key(l, key))
		put_quoted(l, text);
}

static void put_f64(char *out, size_t size, double value)
{
	if (!isfinite(value)) { /* JSON has no word for it */
		snprintf(out, size, "null");
		return;
	}
	snprintf(out, size, "%.15g", value);
}

static void put_field(struct line *l, const struct log_field *f)
{
	char text[IDS_UUID_SIZE + 2];

	if (f->kind == LOG_KIND_STR && f->value.str != NULL) {
		put_pair(l, f->key, f->value.str);
		return;
	}
	if (f->kind == LOG_KIND_ID) {
		ids_to_uuid(f->value.u64, text);
		put_pair(l, f->key, text);
		return;
	}
	if (!put_key(l, f->key))
		return;
	switch (f->kind) {
	case LOG_KIND_U64:
		snprintf(text, sizeof text, "%" PRIu64, f->value.u64);
		break;
	case LOG_KIND_I64:
		snprintf(text, sizeof text, "%" PRId64, f->value.i64);
		break;
	case LOG_KIND_F64:
		put_f64(text, sizeof text, f->value.f64);
		break;
	case LOG_KIND_BOOL:
		snprintf(text, sizeof text, "%s", f->value.flag ? "true" : "false");
		break;
	case LOG_KIND_STR: /* NULL */
	case LOG_KIND_ID:
	case LOG_KIND_END:
		snprintf(text, sizeof text, "null");
		break;
	}
	put(l, text, strlen(text));
}

bool log_enabled(enum log_level level)
{
	return level >= setup.least;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	char time[CLOCK_RFC3339_SIZE];
	int caller_errno = errno;
	struct line l;

	if (!log_enabled(level))
		return;
	l.length = 0;
	clock_format_rfc3339(clock_wall_ms(), time);
	put_pair(&l, "time", time);
	put_pair(&l, "level", names[level]);
	put_pair(&l, "service", setup.service);
	put_pair(&l, "event", event);
	if (context.trace[0] != '\0')
		put_pair(&l, "trace", context.trace);
	if (context.session != 0) {
		char session[IDS_UUID_SIZE];
		ids_to_uuid(context.session, session);
		put_pair(&l, "session", session);
	}
	for (const struct log_field *f = fields; f->kind != LOG_KIND_END; f++)
		put_field(&l, f);
	memcpy(l.bytes + l.length, "}\n", 2);
	l.length += 2;
	/* A log that cannot be written (a full disk, a closed pipe) must not stop the service. */
	for (size_t done = 0; done < l.length;) {
		ssize_t n = write(STDERR_FILENO, l.bytes + done, l.length - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	errno = caller_errno;
}

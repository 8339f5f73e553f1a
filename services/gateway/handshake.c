/*
 * handshake - see handshake.h. Strict where leniency would let two parsers disagree: CRLF only, no folded
 * headers, no blanks before the colon, no body.
 */
#include "services/gateway/handshake.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/sha1.h"

#define HANDSHAKE_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, section 1.3 */

size_t handshake_complete(const char *bytes, size_t length, size_t *scanned)
{
	size_t from = *scanned > 3 ? *scanned - 3 : 0;
	const char *end = length > from ? memmem(bytes + from, length - from, "\r\n\r\n", 4) : NULL;

	*scanned = length;
	return end != NULL ? (size_t)(end - bytes) + 4 : 0;
}

static bool is_token_char(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

/* Does a comma separated list hold word, whatever its case? */
static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	while (*list != '\0') {
		list += strspn(list, " \t,");
		size_t item = strcspn(list, ",");
		size_t end = item;
		while (end > 0 && (list[end - 1] == ' ' || list[end - 1] == '\t'))
			end--;
		if (end == length && strncasecmp(list, word, length) == 0)
			return true;
		list += item;
	}
	return false;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 of exactly 16 bytes: 22 digits of which the last carries four spare bits, and two '='. */
static bool is_key(const char *key)
{
	if (strlen(key) != HANDSHAKE_KEY_SIZE - 1 || strcmp(key + 22, "==") != 0)
		return false;
	for (int i = 0; i < 22; i++)
		if (base64_digit(key[i]) < 0)
			return false;
	return (base64_digit(key[21]) & 0xf) == 0;
}

struct headers {
	const char *upgrade, *connection, *version, *key, *content_length, *transfer_encoding;
	bool doubled; /* one of those that may stand once stands twice */
	bool malformed;
};

static void header_once(const char **slot, const char *value, bool *doubled)
{
	if (*slot != NULL)
		*doubled = true;
	*slot = value;
}

static void forwarded_add(struct handshake *out, const char *line)
{
	if (out->forwarded_count == HANDSHAKE_FORWARDED)
		memmove(out->forwarded, out->forwarded + 1, --out->forwarded_count * sizeof *out->forwarded);
	out->forwarded[out->forwarded_count++] = line;
}

static void header_take(struct headers *h, struct handshake *out, const char *name, const char *value)
{
	if (strcasecmp(name, "upgrade") == 0)
		header_once(&h->upgrade, value, &h->doubled);
	else if (strcasecmp(name, "connection") == 0)
		h->connection =
			h->connection != NULL && list_has(h->connection, "upgrade") ? h->connection : value;
	else if (strcasecmp(name, "sec-websocket-version") == 0)
		header_once(&h->version, value, &h->doubled);
	else if (strcasecmp(name, "sec-websocket-key") == 0)
		header_once(&h->key, value, &h->doubled);
	else if (strcasecmp(name, "content-length") == 0)
		header_once(&h->content_length, value, &h->doubled);
	else if (strcasecmp(name, "transfer-encoding") == 0)
		header_once(&h->transfer_encoding, value, &h->doubled);
	else if (strcasecmp(name, "host") == 0)
		header_once(&out->host, value, &h->doubled);
	else if (strcasecmp(name, "authorization") == 0)
		header_once(&out->authorization, value, &h->doubled);
	else if (strcasecmp(name, "origin") == 0)
		header_once(&out->origin, value, &h->doubled);
	else if (strcasecmp(name, "sec-websocket-extensions") == 0)
		h->malformed |= !extensions_offered(value, &out->extensions);
	else if (strcasecmp(name, "x-forwarded-for") == 0)
		forwarded_add(out, value);
	else if (strcasecmp(name, "user-agent") == 0)
		out->user_agent = value;
	else if (strcasecmp(name, "cookie") == 0)
		header_once(&out->cookie, value, &h->doubled);
}

/* The line up to CRLF as a string; NULL when a bare CR, LF or NUL is in it. *at moves behind it. */
static char *line_take(char **at, char *end)
{
	char *line = *at;
	char *stop = memchr(line, '\r', (size_t)(end - line));

	if (stop == NULL || stop + 1 >= end || stop[1] != '\n')
		return NULL;
	if (memchr(line, '\n', (size_t)(stop - line)) != NULL ||
		memchr(line, '\0', (size_t)(stop - line)) != NULL)
		return NULL;
	*stop = '\0';
	*at = stop + 2;
	return line;
}

static int request_line(char *line, struct handshake *out)
{
	char *target = strchr(line, ' ');
	if (target == NULL)
		return 400;
	*target++ = '\0';
	char *version = strchr(target, ' ');
	if (version == NULL)
		return 400;
	*version++ = '\0';
	if (strncmp(version, "HTTP/", 5) != 0 || *line == '\0')
		return 400;
	for (const char *c = line; *c != '\0'; c++)
		if (!is_token_char(*c))
			return 400;
	if (strcmp(version, "HTTP/1.1") != 0)
		return 505;
	if (strcmp(line, "GET") != 0)
		return 405;
	if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
		/* The absolute form (section 4.2.1): whose host it names has been decided by who sent it here. */
		target = strchr(strchr(target, ':') + 3, '/');
		if (target == NULL)
			return 400;
	}
	if (*target != '/')
		return 400;
	for (const char *c = target; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return 400;
	char *query = strchr(target, '?');
	if (query != NULL)
		*query++ = '\0';
	out->path = target;
	out->query = query != NULL ? query : target + strlen(target);
	return 101;
}

int handshake_parse(char *bytes, size_t length, struct handshake *out)
{
	char *at = bytes, *end = bytes + length;
	struct headers h = {0};
	struct handshake hs = {0};

	char *line = line_take(&at, end);
	if (line == NULL)
		return 400;
	int code = request_line(line, &hs);
	if (code != 101)
		return code;
	while ((line = line_take(&at, end)) != NULL && *line != '\0') {
		char *colon = strchr(line, ':');
		if (colon == NULL || colon == line)
			return 400;
		for (const char *c = line; c < colon; c++)
			if (!is_token_char(*c))
				return 400;
		*colon = '\0';
		char *value = colon + 1 + strspn(colon + 1, " \t");
		char *stop = value + strlen(value);
		while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
			*--stop = '\0';
		for (const char *c = value; *c != '\0'; c++)
			if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
				return 400;
		header_take(&h, &hs, line, value);
	}
	if (line == NULL || at != end)
		return 400;
	if (h.doubled || h.malformed || hs.host == NULL || h.transfer_encoding != NULL)
		return 400;
	if (h.content_length != NULL && strcmp(h.content_length, "0") != 0)
		return 400;
	if (h.upgrade == NULL || !list_has(h.upgrade, "websocket") || h.connection == NULL ||
		!list_has(h.connection, "upgrade"))
		return 426;
	if (h.version == NULL || strcmp(h.version, "13") != 0)
		return 426;
	if (h.key == NULL || !is_key(h.key))
		return 400;
	memcpy(hs.key, h.key, HANDSHAKE_KEY_SIZE);
	*out = hs;
	return 101;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool handshake_query(const struct handshake *hs, const char *name, char *out, size_t size, bool *out_present)
{
	size_t name_length = strlen(name);
	const char *at = hs->query;

	*out_present = false;
	for (;;) {
		size_t item = strcspn(at, "&");
		if (item >= name_length && strncmp(at, name, name_length) == 0 &&
			(item == name_length || at[name_length] == '=')) {
			*out_present = true;
			at += item == name_length ? item : name_length + 1;
			break;
		}
		at += item;
		if (*at == '\0')
			return false;
		at++;
	}
	size_t length = 0;
	for (; *at != '\0' && *at != '&'; at++) {
		char c = *at;
		if (c == '%') {
			int high = hex_digit(at[1]);
			int low = high < 0 ? -1 : hex_digit(at[2]);
			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			at += 2;
		}
		if (c == '\0' || length + 1 >= size)
			return false;
		out[length++] = c;
	}
	out[length] = '\0';
	return true;
}

const char *handshake_bearer(const struct handshake *hs)
{
	const char *value = hs->authorization;

	if (value == NULL || strncasecmp(value, "bearer", 6) != 0 || (value[6] != ' ' && value[6] != '\t'))
		return NULL;
	return value + 6 + strspn(value + 6, " \t");
}

bool handshake_cookie(const struct handshake *hs, const char *name, char *out, size_t size)
{
	size_t name_length = strlen(name);

	for (const char *at = hs->cookie; at != NULL; at = strchr(at, ';')) {
		at += strspn(at, "; \t");
		if (strncmp(at, name, name_length) != 0 || at[name_length] != '=')
			continue;
		at += name_length + 1;
		size_t length = strcspn(at, "; \t");
		if (length + 1 > size)
			return false;
		memcpy(out, at, length);
		out[length] = '\0';
		return true;
	}
	return false;
}

size_t handshake_accept(const char *key, const struct extensions *agreed, char *out, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[HANDSHAKE_KEY_SIZE + sizeof HANDSHAKE_GUID];
	uint8_t hash[SHA1_SIZE + 1] = {0};
	char accept[29], extensions[160];

	int length = snprintf(text, sizeof text, "%s%s", key, HANDSHAKE_GUID);
	sha1(text, (size_t)length, hash);
	for (int i = 0; i < 7; i++) {
		uint32_t three =
			(uint32_t)hash[3 * i] << 16 | (uint32_t)hash[3 * i + 1] << 8 | hash[3 * i + 2];
		for (int d = 0; d < 4; d++)
			accept[4 * i + d] = digits[three >> (18 - 6 * d) & 63];
	}
	accept[27] = '='; /* 20 bytes leave one digit over */
	accept[28] = '\0';
	extensions_answer(agreed, extensions, sizeof extensions);
	length = snprintf(out, size,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n%s\r\n",
		accept, extensions);
	return (size_t)length;
}

size_t handshake_refuse(int code, char *out, size_t size)
{
	const char *reason = "Bad Request", *extra = "";

	switch (code) {
	case 401:
		reason = "Unauthorized";
		break;
	case 403:
		reason = "Forbidden";
		break;
	case 404:
		reason = "Not Found";
		break;
	case 405:
		reason = "Method Not Allowed";
		extra = "Allow: GET\r\n";
		break;
	case 426:
		reason = "Upgrade Required";
		extra = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
		break;
	case 429:
		reason = "Too Many Requests";
		extra = "Retry-After: 5\r\n";
		break;
	case 431:
		reason = "Request Header Fields Too Large";
		break;
	case 503:
		reason = "Service Unavailable";
		extra = "Retry-After: 5\r\n";
		break;
	case 505:
		reason = "HTTP Version Not Supported";
		break;
	default:
		code = 400;
		break;
	}
	int length = snprintf(out, size,
		"HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n%s\n",
		code, reason, extra, strlen(reason) + 1, reason);
	return (size_t)length;
}

size_t handshake_answer(int code, const char *reason, const char *type, const char *body, char *out, size_t size)
{
	int length = snprintf(out, size, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", code,
		reason, type, strlen(body), body);

	return (size_t)length;
}

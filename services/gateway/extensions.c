/*
 * extensions - see extensions.h.
 */
#include "services/gateway/extensions.h"

#include <stdio.h>
#include <string.h>

#define VALUE_SIZE 8 /* the longest good value is "15" */

/* One offer as far as it was read. */
struct offer {
	bool refused;
	bool server_no_context, client_no_context, client_bits;
	uint8_t server_bits;
};

static size_t token_length(const char *at)
{
	size_t length = 0;

	while ((at[length] >= 'a' && at[length] <= 'z') || (at[length] >= 'A' && at[length] <= 'Z') ||
		(at[length] >= '0' && at[length] <= '9') ||
		(at[length] != '\0' && strchr("!#$%&'*+-.^_`|~", at[length]) != NULL))
		length++;
	return length;
}

static bool is(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* A token, or one in quotes with escapes (section 9.1: what is quoted is a token too). Cut to fit: no good value is as long as that.
 */
static bool value_read(const char **at, char out[VALUE_SIZE])
{
	const char *from = *at;
	bool quoted = *from == '"';
	size_t length = 0;

	from += quoted;
	for (;; from++) {
		if (quoted && *from == '\\')
			from++;
		if (token_length(from) == 0)
			break;
		if (length + 1 < VALUE_SIZE)
			out[length++] = *from;
	}
	out[length] = '\0';
	if (length == 0 || (quoted && (*from != '"' || from[-1] == '\\')))
		return false;
	*at = from + quoted;
	return true;
}

/* 8 to 15 without leading zeros; 0: it is none of them. */
static uint8_t bits_of(const char *value)
{
	if ((value[0] == '8' || value[0] == '9') && value[1] == '\0')
		return (uint8_t)(value[0] - '0');
	if (value[0] == '1' && value[1] >= '0' && value[1] <= '5' && value[2] == '\0')
		return (uint8_t)(10 + value[1] - '0');
	return 0;
}

static void parameter(struct offer *offer, const char *name, size_t length, const char *value)
{
	if (is(name, length, "server_no_context_takeover")) {
		offer->refused |= offer->server_no_context || value != NULL;
		offer->server_no_context = true;
	} else if (is(name, length, "client_no_context_takeover")) {
		offer->refused |= offer->client_no_context || value != NULL;
		offer->client_no_context = true;
	} else if (is(name, length, "server_max_window_bits")) {
		offer->refused |= offer->server_bits != 0 || value == NULL || bits_of(value) == 0;
		offer->server_bits = value != NULL ? bits_of(value) : 0;
	} else if (is(name, length, "client_max_window_bits")) {
		offer->refused |= offer->client_bits || (value != NULL && bits_of(value) == 0);
		offer->client_bits = true;
	} else {
		offer->refused = true;
	}
}

static const char *blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* The parameters up to the end of the offer. */
static bool parameters(const char **at, struct offer *offer)
{
	const char *from = blanks(*at);

	while (*from == ';') {
		char value[VALUE_SIZE];
		const char *name = blanks(from + 1);
		size_t length = token_length(name);
		if (length == 0)
			return false;
		from = blanks(name + length);
		bool has_value = *from == '=';
		if (has_value) {
			from = blanks(from + 1);
			if (!value_read(&from, value))
				return false;
			from = blanks(from);
		}
		parameter(offer, name, length, has_value ? value : NULL);
	}
	*at = from;
	return *from == ',' || *from == '\0';
}

bool extensions_offered(const char *value, struct extensions *out)
{
	const char *at = value;
	bool any = false;

	for (;;) {
		at += strspn(at, " \t,");
		if (*at == '\0')
			return any;
		size_t length = token_length(at);
		struct offer offer = {.refused = !is(at, length, "permessage-deflate")};
		at += length;
		if (length == 0 || !parameters(&at, &offer))
			return false;
		any = true;
		if (offer.refused || out->deflate != DEFLATE_NONE)
			continue;
		out->server_bits = offer.server_bits;
		out->deflate = offer.server_bits == 0 || offer.server_bits == 15 ? DEFLATE_FULL : DEFLATE_SMALL;
	}
}

size_t extensions_answer(const struct extensions *agreed, char *out, size_t size)
{
	char bits[32] = "";

	if (agreed->deflate == DEFLATE_NONE) {
		*out = '\0';
		return 0;
	}
	if (agreed->server_bits != 0)
		snprintf(bits, sizeof bits, "; server_max_window_bits=%u", agreed->server_bits);
	int length = snprintf(out, size,
		"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
		"client_no_context_takeover%s\r\n",
		bits);
	return (size_t)length;
}

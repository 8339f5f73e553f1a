/*
 * delivery_answer - the pure parts of a delivery: when it is tried again, what is sent, how it is signed, what an answer says.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/text.h"
#include "common/json/reader.h"
#include "common/net/fetch.h"
#include "services/messaging/deliveries.h"
#include "services/messaging/views.h"
#include "services/messaging/webhooks.h"

#define PAUSE_MOST_MS INT64_C(3600000)

int64_t delivery_pause_ms(int64_t base_ms, int tries, uint32_t random)
{
	int64_t pause = base_ms;

	for (int i = 1; i < tries && pause < PAUSE_MOST_MS; i++)
		pause *= 2;
	if (pause > PAUSE_MOST_MS)
		pause = PAUSE_MOST_MS;
	return pause + (int64_t)(random % 1000) * pause / 5000;
}

char *delivery_url(struct arena *mem, const char *url, const char *input)
{
	const char *escaped = fetch_query_escaped(mem, input);
	size_t places = 0, length = strlen(escaped);

	for (const char *at = url; (at = strstr(at, "%s")) != NULL; at += 2)
		places++;
	char *out = arena_alloc(mem, strlen(url) + places * length + 1), *to = out;
	for (const char *at; (at = strstr(url, "%s")) != NULL; url = at + 2) {
		to = mempcpy(to, url, (size_t)(at - url));
		to = mempcpy(to, escaped, length);
	}
	strcpy(to, url);
	return out;
}

void delivery_sign(const char *secret, int64_t timestamp_s, const char *body, size_t length, char out[DELIVERY_SIGNATURE_SIZE])
{
	crypto_auth_hmacsha256_state h;
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char stamp[32];
	int n = snprintf(stamp, sizeof stamp, "%lld.", (long long)timestamp_s);

	crypto_auth_hmacsha256_init(&h, (const unsigned char *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(&h, (const unsigned char *)stamp, (unsigned long long)n);
	crypto_auth_hmacsha256_update(&h, (const unsigned char *)body, length);
	crypto_auth_hmacsha256_final(&h, mac);
	memcpy(out, "v1=", 3);
	sodium_bin2hex(out + 3, DELIVERY_SIGNATURE_SIZE - 3, mac, sizeof mac);
}

static bool is_type(const char *type, const char *wanted)
{
	size_t length = strcspn(type, "; \t");

	return length == strlen(wanted) && strncasecmp(type, wanted, length) == 0;
}

const char *delivery_detail(const char *why)
{
	static const struct {
		const char *why, *detail;
	} details[] = {{"empty", "Empty webhook response"}, {"not_json", "The webhook's answer is not as expected"},
		{"not_text", "The webhook's answer is not UTF-8"}, {"too_long", "The webhook's answer is over 4000 characters"},
		{"too_large", "The webhook's answer is too large"}, {"address_refused", "The webhook's address may not be called"},
		{"bad_url", "The webhook's address may not be called"}, {"webhook_gone", "The webhook is gone"}};

	for (size_t i = 0; why != NULL && i < sizeof details / sizeof *details; i++)
		if (strcmp(details[i].why, why) == 0)
			return details[i].detail;
	return why != NULL && strncmp(why, "status_", 7) == 0 ? "The webhook answered with an error" : "The webhook did not answer";
}

static enum status given_up(const char **out_why, const char *why)
{
	*out_why = why;
	return STATUS_CONFLICT;
}

/* A name and a picture that do not fit are left out; the text is what was asked for. */
static enum status read_json(struct arena *mem, const char *body, size_t length, struct delivery_answer *out)
{
	struct json_reader r;
	const char *name = NULL, *avatar = NULL;

	json_reader_begin(&r, mem, body, length);
	json_str(&r, "text", JSON_REQUIRED, 0, DELIVERY_ANSWER_MAX, &out->text);
	json_str(&r, "username", JSON_OPTIONAL, 0, DELIVERY_ANSWER_MAX, &name);
	json_str(&r, "avatar", JSON_OPTIONAL, 0, DELIVERY_ANSWER_MAX, &avatar);
	enum status st = json_reader_end(&r, false);
	if (name != NULL && text_fits(name, 1, WEBHOOK_NAME_MAX))
		out->name = name;
	if (avatar != NULL && webhook_avatar_fits(avatar))
		out->avatar = avatar;
	return st;
}

enum status delivery_read(struct arena *mem, int code, const char *type, const char *body, size_t length,
	struct delivery_answer *out, const char **out_why)
{
	bool plain = is_type(type, "text/plain");

	*out = (struct delivery_answer){0};
	if (code >= 500 || code == 429 || code == 408) {
		*out_why = arena_printf(mem, "status_%d", code);
		return STATUS_BUSY;
	}
	if (code < 200 || code > 299 || (!plain && code != 200))
		return given_up(out_why, arena_printf(mem, "status_%d", code));
	if (length > 0 && plain)
		out->text = arena_strndup(mem, body, length);
	if (plain && (strlen(out->text != NULL ? out->text : "") != length || !text_is_utf8(body, length)))
		return given_up(out_why, "not_text");
	if (!plain && length > 0 && read_json(mem, body, length, out) != STATUS_OK)
		return given_up(out_why, "not_json");
	if (out->text == NULL || out->text[strspn(out->text, " \t\r\n")] == '\0')
		return given_up(out_why, "empty");
	if (!text_fits(out->text, 1, MESSAGE_CONTENT_MAX))
		return given_up(out_why, "too_long");
	return STATUS_OK;
}

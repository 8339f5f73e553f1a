#include "common/events/attachments.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define END_DIGITS 10
#define MAC_BYTES  20
#define HOUR_S     3600

_Static_assert(ATTACHMENT_KEY_BYTES == crypto_generichash_KEYBYTES, "a key is what BLAKE2b takes");
_Static_assert(END_DIGITS + 2 * MAC_BYTES + 1 == ATTACHMENT_SIGN_SIZE, "the end, then the mark");

static void put(uint8_t *to, uint64_t number)
{
	for (size_t i = 0; i < 8; i++)
		to[i] = (uint8_t)(number >> (8 * i));
}

static void sign_until(const pb_AttachmentView *attachment, uint64_t user, uint64_t end_s, char *out)
{
	uint8_t text[24], mac[MAC_BYTES];

	put(text, user);
	put(text + 8, attachment->id);
	put(text + 16, end_s);
	crypto_generichash(mac, sizeof mac, text, sizeof text, attachment->key->bytes, ATTACHMENT_KEY_BYTES);
	snprintf(out, END_DIGITS + 1, "%010llx", (unsigned long long)end_s & 0xFFFFFFFFFF);
	sodium_bin2hex(out + END_DIGITS, 2 * MAC_BYTES + 1, mac, sizeof mac);
}

static bool has_key(const pb_AttachmentView *attachment)
{
	return attachment->key != NULL && attachment->key->size == ATTACHMENT_KEY_BYTES;
}

void attachment_sign(
	const pb_AttachmentView *attachment, uint64_t user, int64_t now_ms, char out[ATTACHMENT_SIGN_SIZE])
{
	uint64_t end_s = (uint64_t)(now_ms / 1000) + ATTACHMENT_URL_S;

	out[0] = '\0';
	if (has_key(attachment))
		sign_until(attachment, user, (end_s + HOUR_S) / HOUR_S * HOUR_S, out);
}

bool attachment_signed(const pb_AttachmentView *attachment, uint64_t user, int64_t now_ms, const char *sign)
{
	char expected[ATTACHMENT_SIGN_SIZE];
	uint64_t end_s = 0;

	if (!has_key(attachment) || strlen(sign) != ATTACHMENT_SIGN_SIZE - 1)
		return false;
	for (size_t i = 0; i < END_DIGITS; i++) {
		char c = sign[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		end_s = end_s << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	sign_until(attachment, user, end_s, expected);
	return sodium_memcmp(expected, sign, ATTACHMENT_SIGN_SIZE - 1) == 0 && now_ms / 1000 < (int64_t)end_s;
}

#include "services/api/jwt.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "common/base/ids.h"
#include "common/json/reader.h"
#include "common/json/writer.h"

#define VARIANT     sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define MAC_BYTES   crypto_auth_hmacsha256_BYTES
#define MAC_CHARS   43
#define JTI_BYTES   16
#define YEAR_9999_S INT64_C(253402300799)

/* {"alg":"HS256","typ":"JWT"}: every one of ours begins so, and what begins otherwise is none. */
static const char header[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
#define HEADER_CHARS (sizeof header - 1)

static void mac(const char *secret, const char *text, size_t length, unsigned char out[MAC_BYTES])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, length);
	crypto_auth_hmacsha256_final(&state, out);
	sodium_memzero(&state, sizeof state);
}

/* As many whole ids as there is room for. */
static const char *member_of_within(struct arena *mem, const char *member_of)
{
	size_t length = strlen(member_of);

	if (length > JWT_MEMBER_OF_BYTES) {
		length = JWT_MEMBER_OF_BYTES;
		while (length > 0 && member_of[length] != ' ')
			length--;
	}
	return arena_strndup(mem, member_of, length);
}

void jwt_make(struct arena *mem, const char *secret, uint64_t user_id, int64_t expires_at_ms, const char *member_of,
	char out_text[JWT_TEXT_SIZE])
{
	unsigned char bytes[JTI_BYTES], tag[MAC_BYTES];
	char jti[sodium_base64_ENCODED_LEN(JTI_BYTES, VARIANT)];
	struct json_writer w;
	size_t length;

	ids_random_bytes(bytes, sizeof bytes);
	sodium_bin2base64(jti, sizeof jti, bytes, sizeof bytes, VARIANT);
	jw_begin(&w, mem, 256);
	jw_object(&w);
	jw_kv(&w, str, "userID", arena_printf(mem, "%" PRIu64, user_id));
	jw_kv(&w, i64, "exp", expires_at_ms == 0 ? YEAR_9999_S : expires_at_ms / 1000);
	if (member_of != NULL && member_of[0] != '\0')
		jw_kv(&w, str, "memberOf", member_of_within(mem, member_of));
	jw_kv(&w, str, "jti", jti);
	jw_object_end(&w);
	const char *claims = jw_end(&w, &length);
	memcpy(out_text, header, HEADER_CHARS);
	out_text[HEADER_CHARS] = '.';
	sodium_bin2base64(out_text + HEADER_CHARS + 1, JWT_TEXT_SIZE - HEADER_CHARS - 1 - MAC_CHARS - 1,
		(const unsigned char *)claims, length, VARIANT);
	size_t signed_length = strlen(out_text);
	mac(secret, out_text, signed_length, tag);
	out_text[signed_length] = '.';
	sodium_bin2base64(out_text + signed_length + 1, MAC_CHARS + 1, tag, sizeof tag, VARIANT);
}

static bool signature_holds(const char *secret, const char *text, const char *signature)
{
	unsigned char ours[MAC_BYTES], theirs[MAC_BYTES];
	size_t length = 0;

	if (strlen(signature) != MAC_CHARS || sodium_base642bin(theirs, sizeof theirs, signature, MAC_CHARS, NULL, &length, NULL,
						      VARIANT) != 0 ||
		length != MAC_BYTES)
		return false;
	mac(secret, text, (size_t)(signature - 1 - text), ours);
	return sodium_memcmp(ours, theirs, MAC_BYTES) == 0;
}

static bool claims_hold(struct arena *mem, const char *encoded, size_t chars, int64_t now_ms)
{
	unsigned char *claims = arena_alloc(mem, chars + 1);
	const char *user = NULL, *member_of = NULL;
	struct json_reader r;
	int64_t exp_s = 0;
	size_t length = 0;

	if (sodium_base642bin(claims, chars, encoded, chars, NULL, &length, NULL, VARIANT) != 0)
		return false;
	json_reader_begin(&r, mem, (const char *)claims, length);
	json_str(&r, "userID", JSON_REQUIRED, 1, 20, &user);
	json_i64(&r, "exp", JSON_REQUIRED, 1, YEAR_9999_S, &exp_s);
	json_str(&r, "memberOf", JSON_OPTIONAL, 0, JWT_MEMBER_OF_BYTES, &member_of);
	if (json_reader_end(&r, false) != STATUS_OK)
		return false;
	return strspn(user, "0123456789") == strlen(user) && exp_s > now_ms / 1000;
}

bool jwt_holds(struct arena *mem, const char *secret, const char *text, int64_t now_ms)
{
	if (strnlen(text, JWT_TEXT_SIZE) == JWT_TEXT_SIZE || strncmp(text, header, HEADER_CHARS) != 0 ||
		text[HEADER_CHARS] != '.')
		return false;
	const char *claims = text + HEADER_CHARS + 1;
	const char *dot = strchr(claims, '.');
	return dot != NULL && signature_holds(secret, text, dot + 1) &&
	       claims_hold(mem, claims, (size_t)(dot - claims), now_ms);
}

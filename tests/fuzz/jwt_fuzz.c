/* Tokens that say they are JSON web tokens: whatever they are, only what we made holds; and claims that were signed are read
 * without harm, whatever they say. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/api/jwt.h"
#include "tests/fuzz/driver.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_MS INT64_C(1700000000000)

static const char header[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/* The bytes as the claims of a token with a good signature; false: they are too long for one. */
static bool sign(const uint8_t *claims, size_t length, char out[JWT_TEXT_SIZE])
{
	unsigned char tag[crypto_auth_hmacsha256_BYTES];
	char middle[JWT_TEXT_SIZE], end[64];
	crypto_auth_hmacsha256_state state;

	if (length > 300)
		return false;
	sodium_bin2base64(middle, sizeof middle, claims, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	snprintf(out, JWT_TEXT_SIZE, "%s.%.400s", header, middle);
	crypto_auth_hmacsha256_init(&state, (const unsigned char *)SECRET, strlen(SECRET));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)out, strlen(out));
	crypto_auth_hmacsha256_final(&state, tag);
	sodium_bin2base64(end, sizeof end, tag, sizeof tag, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	size_t at = strlen(out);
	snprintf(out + at, JWT_TEXT_SIZE - at, ".%s", end);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *mem = arena_create();
	char token[JWT_TEXT_SIZE];

	if (jwt_holds(mem, SECRET, arena_strndup(mem, (const char *)bytes, length), NOW_MS))
		abort(); /* nobody guesses a signature */
	if (sign(bytes, length, token) && jwt_holds(mem, SECRET, token, NOW_MS) &&
		jwt_holds(mem, "another secret of thirty-two byte", token, NOW_MS))
		abort();
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VySUQiOiIxIn0.AAAA"),
	FUZZ_SEED("{\"userID\":\"4711\",\"exp\":1700000001,\"memberOf\":\"2 117\",\"jti\":\"abc\"}"),
	FUZZ_SEED("{\"userID\":\"\",\"exp\":-1}"), FUZZ_SEED("eyJhbGciOiJub25lIn0.e30."), FUZZ_SEED(".."))

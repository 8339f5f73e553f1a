#include "services/api/idempotency.h"

#include <sodium.h>
#include <string.h>

_Static_assert(REQUEST_ID_BYTES == crypto_generichash_BYTES, "ids are BLAKE2b-256");
_Static_assert(REQUEST_HASH_BYTES == crypto_generichash_BYTES, "hashes are BLAKE2b-256");

/* Each part behind its length, so that no two lists of parts read the same. */
static void add(crypto_generichash_state *h, const void *bytes, size_t length)
{
	uint8_t size[8];

	for (size_t i = 0; i < sizeof size; i++)
		size[i] = (uint8_t)((uint64_t)length >> (8 * i));
	crypto_generichash_update(h, size, sizeof size);
	crypto_generichash_update(h, bytes, length);
}

static void add_text(crypto_generichash_state *h, const char *text)
{
	add(h, text, strlen(text));
}

static void add_id(crypto_generichash_state *h, uint64_t id)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(id >> (8 * i));
	add(h, bytes, sizeof bytes);
}

static void begin(crypto_generichash_state *h, const char *tag)
{
	crypto_generichash_init(h, NULL, 0, crypto_generichash_BYTES);
	add_text(h, tag);
}

static void end(crypto_generichash_state *h, uint8_t *out)
{
	crypto_generichash_final(h, out, crypto_generichash_BYTES);
}

void request_id_random(uint8_t out[REQUEST_ID_BYTES])
{
	randombytes_buf(out, REQUEST_ID_BYTES);
}

void request_id_from_key(uint8_t out[REQUEST_ID_BYTES], const char *key)
{
	crypto_generichash_state h;

	begin(&h, "key");
	add_text(&h, key);
	end(&h, out);
}

void request_id_from_nonce(uint8_t out[REQUEST_ID_BYTES], uint64_t channel_id, const char *nonce)
{
	crypto_generichash_state h;

	begin(&h, "nonce");
	add_id(&h, channel_id);
	add_text(&h, nonce);
	end(&h, out);
}

void request_id_derive(uint8_t out[REQUEST_ID_BYTES], const uint8_t from[REQUEST_ID_BYTES], const char *step)
{
	crypto_generichash_state h;

	begin(&h, "step");
	add(&h, from, REQUEST_ID_BYTES);
	add_text(&h, step);
	end(&h, out);
}

void request_hash(uint8_t out[REQUEST_HASH_BYTES], const char *method, const char *path, const char *body,
	size_t body_length)
{
	crypto_generichash_state h;

	begin(&h, "body");
	add_text(&h, method);
	add_text(&h, path);
	add(&h, body, body_length);
	end(&h, out);
}

void request_hash_post(uint8_t out[REQUEST_HASH_BYTES], const char *content, uint64_t parent_id,
	const uint64_t *attachment_ids, size_t attachment_count)
{
	crypto_generichash_state h;

	begin(&h, "post");
	add_text(&h, content);
	add_id(&h, parent_id);
	for (size_t i = 0; i < attachment_count; i++)
		add_id(&h, attachment_ids[i]);
	end(&h, out);
}

void request_hash_file(uint8_t out[REQUEST_HASH_BYTES], const char *path, const char *name,
	const uint8_t content[REQUEST_HASH_BYTES])
{
	crypto_generichash_state h;

	begin(&h, "file");
	add_text(&h, path);
	add_text(&h, name);
	add(&h, content, REQUEST_HASH_BYTES);
	end(&h, out);
}

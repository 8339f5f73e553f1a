/*
 * idempotency - what makes a repeated call the same call: its id, which with the actor is the key of
 * log.requests, and the hash of what the client sent, by which another body under the same id is recognised.
 * Pure, except for the random id. The tags and the order of what is hashed are permanent for 24 hours:
 * answers are kept under them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define REQUEST_ID_BYTES   32
#define REQUEST_HASH_BYTES 32

/* A call that nobody can repeat but api itself. */
void request_id_random(uint8_t out[REQUEST_ID_BYTES]);
/* From the client's Idempotency-Key. */
void request_id_from_key(uint8_t out[REQUEST_ID_BYTES], const char *key);
/* From the nonce of a post; nonces are apart per channel. */
void request_id_from_nonce(uint8_t out[REQUEST_ID_BYTES], uint64_t channel_id, const char *nonce);
/* The second call of a change that concerns two owners: the same again whenever the first is repeated. */
void request_id_derive(uint8_t out[REQUEST_ID_BYTES], const uint8_t from[REQUEST_ID_BYTES], const char *step);

/* Of a whole request. path is as sent, without the query. */
void request_hash(uint8_t out[REQUEST_HASH_BYTES], const char *method, const char *path, const char *body,
	size_t body_length);
/* Of a post by nonce: the same text below the same message, however the JSON around it is written. */
void request_hash_post(uint8_t out[REQUEST_HASH_BYTES], const char *content, uint64_t parent_id,
	const uint64_t *attachment_ids, size_t attachment_count);
/* An uploaded file, by the BLAKE2b-256 of its bytes. */
void request_hash_file(uint8_t out[REQUEST_HASH_BYTES], const char *path, const char *name,
	const uint8_t content[REQUEST_HASH_BYTES]);

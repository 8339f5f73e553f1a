/*
 * passwords - argon2id on threads of its own, so that logins can neither take all workers nor all memory: the
 * bounds are `threads` hashes at a time and a short queue. Callers block; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"

#define PASSWORD_HASH_SIZE 128 /* crypto_pwhash_STRBYTES */

struct passwords;

/* queue_limit: calls that may wait while all threads hash. STATUS_INTERNAL when no thread can be started. */
enum status passwords_create(int threads, size_t queue_limit, struct passwords **out_passwords);
/* Those that wait get STATUS_BUSY. NULL is fine. */
void passwords_destroy(struct passwords *passwords);

/* The hash to store, in mem. STATUS_BUSY: the queue is full; STATUS_LATE: the deadline passed before it
 * began. */
enum status passwords_hash(struct passwords *passwords, struct arena *mem, const char *password,
	int64_t deadline_mono_ms, const char **out_hash);
/* hash NULL (no such account, or one without a password): the same work against a hash of nobody's password,
 * so that the time does not tell. STATUS_WRONG_CREDENTIALS, STATUS_BUSY, STATUS_LATE. */
enum status passwords_verify(
	struct passwords *passwords, const char *hash, const char *password, int64_t deadline_mono_ms);

#include "services/api/passwords.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ops/ops.h"

/* OWASP's floor for argon2id is 19 MiB with two passes; somewhat more, as only `threads` of them run at a
 * time. */
#define OPSLIMIT    2
#define MEMLIMIT    ((size_t)32 << 20)
#define STACK_BYTES ((size_t)256 << 10)
#define KEY_BYTES   32 /* of libsodium's stored hashes */
_Static_assert(PASSWORD_HASH_SIZE == crypto_pwhash_STRBYTES, "size of a stored hash");

enum work_state { WORK_WAITING, WORK_RUNNING, WORK_DONE };

/* Lives on the caller's stack: the caller leaves only when it is done, or takes it out of the queue. */
struct work {
	struct work *next;
	enum work_state state;
	const char *password;
	const char *hash; /* NULL: make one */
	char made[PASSWORD_HASH_SIZE];
	enum status status;
	pthread_cond_t done;
};

struct passwords {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct work *first, **end;
	size_t waiting, limit;
	bool stopping;
	char nobody[PASSWORD_HASH_SIZE]; /* hash of a random password */
	int thread_count;
	pthread_t threads[];
};

static enum status hash(char out[PASSWORD_HASH_SIZE], const char *password)
{
	if (crypto_pwhash_str_alg(
		    out, password, strlen(password), OPSLIMIT, MEMLIMIT, crypto_pwhash_ALG_ARGON2ID13) == 0)
		return STATUS_OK;
	log_error("password_hash_failed", LOG_STR("why", "out of memory"));
	return STATUS_BUSY;
}

/* libsodium's own crypto_pwhash_str_verify says the same, errno included, of another password and of too little memory; the second
 * must not count as a wrong guess. So the hash is taken apart, in the form that crypto_pwhash_str_alg writes, and made again. */
static enum status verify(const char *stored, const char *password)
{
	char salt_text[25] = "", key_text[49] = "";
	unsigned char salt[crypto_pwhash_SALTBYTES], key[KEY_BYTES], made[KEY_BYTES];
	unsigned long long memory_kib = 0, passes = 0;
	size_t salt_length = 0, key_length = 0;
	int end = 0;

	bool readable = sscanf(stored, "$argon2id$v=19$m=%7llu,t=%3llu,p=1$%24[^$]$%48[^$]%n", &memory_kib, &passes, salt_text, key_text,
				&end) == 4 &&
		stored[end] == '\0' && memory_kib * 1024 >= crypto_pwhash_MEMLIMIT_MIN && passes >= crypto_pwhash_OPSLIMIT_MIN &&
		sodium_base642bin(salt, sizeof salt, salt_text, strlen(salt_text), NULL, &salt_length, NULL,
			sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
		sodium_base642bin(key, sizeof key, key_text, strlen(key_text), NULL, &key_length, NULL,
			sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
		salt_length == sizeof salt && key_length == sizeof key;
	if (!readable) {
		log_error("password_hash_unreadable", LOG_U64("length", strlen(stored)));
		return STATUS_WRONG_CREDENTIALS;
	}
	if (crypto_pwhash(made, sizeof made, password, strlen(password), salt, passes, (size_t)memory_kib * 1024,
		    crypto_pwhash_ALG_ARGON2ID13) != 0) {
		log_error("password_verify_failed", LOG_STR("why", "out of memory"));
		return STATUS_BUSY;
	}
	bool same = sodium_memcmp(made, key, sizeof key) == 0;
	sodium_memzero(made, sizeof made);
	return same ? STATUS_OK : STATUS_WRONG_CREDENTIALS;
}

static void work_run(struct work *w)
{
	metric_add(auth_password_hashes, 1);
	if (w->hash == NULL)
		w->status = hash(w->made, w->password);
	else
		w->status = verify(w->hash, w->password);
}

static void *worker(void *arg)
{
	struct passwords *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->first == NULL && !p->stopping)
			pthread_cond_wait(&p->some, &p->lock);
		if (p->first == NULL)
			break;
		struct work *w = p->first;
		p->first = w->next;
		if (p->first == NULL)
			p->end = &p->first;
		p->waiting--;
		w->state = WORK_RUNNING;
		pthread_mutex_unlock(&p->lock);
		work_run(w);
		pthread_mutex_lock(&p->lock);
		w->state = WORK_DONE;
		pthread_cond_signal(&w->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum status passwords_create(int threads, size_t queue_limit, struct passwords **out_passwords)
{
	struct passwords *p = calloc(1, sizeof *p + (size_t)threads * sizeof *p->threads);
	char random[33];
	pthread_attr_t attr;

	assert(threads > 0);
	if (p == NULL)
		return STATUS_INTERNAL;
	p->end = &p->first;
	p->limit = queue_limit;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->some, NULL);
	randombytes_buf(random, 32);
	for (size_t i = 0; i < 32; i++)
		random[i] = (char)('a' + (unsigned char)random[i] % 26);
	random[32] = '\0';
	enum status st = hash(p->nobody, random);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (; st == STATUS_OK && p->thread_count < threads; p->thread_count++) {
		if (pthread_create(&p->threads[p->thread_count], &attr, worker, p) != 0) {
			log_error("thread_failed", LOG_STR("thread", "password"));
			st = STATUS_INTERNAL;
			break;
		}
	}
	pthread_attr_destroy(&attr);
	if (st != STATUS_OK) {
		passwords_destroy(p);
		return STATUS_INTERNAL;
	}
	*out_passwords = p;
	return STATUS_OK;
}

void passwords_destroy(struct passwords *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	for (struct work *w = p->first; w != NULL; w = w->next) {
		w->state = WORK_DONE;
		w->status = STATUS_BUSY;
		pthread_cond_signal(&w->done);
	}
	p->first = NULL;
	p->end = &p->first;
	p->waiting = 0;
	pthread_cond_broadcast(&p->some);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->some);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void take_out(struct passwords *p, struct work *w)
{
	struct work **at = &p->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (*at == NULL)
		p->end = at;
	p->waiting--;
}

static enum status run(struct passwords *p, struct work *w, int64_t deadline_mono_ms)
{
	struct timespec until = clock_timespec(deadline_mono_ms);

	if (clock_mono_ms() >= deadline_mono_ms)
		return STATUS_LATE;
	clock_cond_init(&w->done);
	pthread_mutex_lock(&p->lock);
	if (p->stopping || p->waiting >= p->limit) {
		w->status = STATUS_BUSY;
	} else {
		*p->end = w;
		p->end = &w->next;
		p->waiting++;
		pthread_cond_signal(&p->some);
		while (w->state != WORK_DONE) {
			if (w->state == WORK_RUNNING) {
				pthread_cond_wait(&w->done, &p->lock);
			} else if (pthread_cond_timedwait(&w->done, &p->lock, &until) != 0 &&
				   w->state == WORK_WAITING) {
				take_out(p, w);
				w->status = STATUS_LATE;
				w->state = WORK_DONE;
			}
		}
	}
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&w->done);
	return w->status;
}

enum status passwords_hash(struct passwords *passwords, struct arena *mem, const char *password,
	int64_t deadline_mono_ms, const char **out_hash)
{
	struct work w = {.password = password};
	enum status st = run(passwords, &w, deadline_mono_ms);

	if (st == STATUS_OK)
		*out_hash = arena_strdup(mem, w.made);
	sodium_memzero(w.made, sizeof w.made);
	return st;
}

enum status passwords_verify(
	struct passwords *passwords, const char *hash, const char *password, int64_t deadline_mono_ms)
{
	struct work w = {.password = password, .hash = hash != NULL ? hash : passwords->nobody};
	enum status st = run(passwords, &w, deadline_mono_ms);

	return st == STATUS_OK && hash == NULL ? STATUS_WRONG_CREDENTIALS : st;
}

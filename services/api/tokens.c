#include "services/api/tokens.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/db/db.h"
#include "common/events/events.h"
#include "services/api/accounts_rows.h"
#include "services/api/scopes.h"

#define TOKEN_PREFIX "ghs_"
#define TOKEN_BYTES  32
#define TOKEN_CHARS  43 /* 32 bytes as base64url without padding */
#define LONG_PREFIX  "ghc_"
#define LONG_BYTES   75
#define LONG_CHARS   100
_Static_assert(sizeof TOKEN_PREFIX - 1 + TOKEN_CHARS + 1 <= TOKEN_TEXT_SIZE &&
		       sizeof LONG_PREFIX - 1 + LONG_CHARS + 1 <= TOKEN_TEXT_SIZE,
	"size of a token's text");

#define KEPT_MS       2000
#define WAYS          4
#define SHARDS        16
#define USED_AFTER_MS INT64_C(300000) /* last_used_at is told this coarsely: reads should not be writes */

struct kept {
	uint8_t hash[TOKEN_HASH_BYTES];
	int64_t until_mono_ms; /* 0: free */
	struct arena *mem;
	struct token_answer answer;
};

struct tokens {
	struct db *db;
	const char *jwt_secret; /* NULL: JSON web tokens are not known */
	size_t sets;
	_Atomic uint64_t drops; /* an answer read before a drop is not kept after it */
	pthread_mutex_t locks[SHARDS];
	struct kept kept[];
};

enum status tokens_create(struct db *db, size_t slots, struct tokens **out_tokens)
{
	size_t sets = slots < WAYS ? 1 : slots / WAYS;
	struct tokens *t = calloc(1, sizeof *t + sets * WAYS * sizeof *t->kept);

	if (t == NULL)
		return STATUS_INTERNAL;
	t->db = db;
	t->sets = sets;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&t->locks[i], NULL);
	*out_tokens = t;
	return STATUS_OK;
}

void tokens_destroy(struct tokens *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->sets * WAYS; i++)
		arena_destroy(t->kept[i].mem);
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&t->locks[i]);
	free(t);
}

static void hash_text(const char *text, uint8_t out_hash[TOKEN_HASH_BYTES])
{
	_Static_assert(TOKEN_HASH_BYTES == crypto_generichash_BYTES, "BLAKE2b-256");
	crypto_generichash(out_hash, TOKEN_HASH_BYTES, (const unsigned char *)text, strlen(text), NULL, 0);
}

void tokens_set_jwt_secret(struct tokens *t, const char *secret)
{
	t->jwt_secret = secret;
}

bool tokens_are_jwt(const struct tokens *t)
{
	return t->jwt_secret != NULL;
}

/* prefix and the bytes as text; room for both is the caller's. */
static void make(const char *prefix, size_t byte_count, char out_text[TOKEN_TEXT_SIZE], uint8_t out_hash[TOKEN_HASH_BYTES])
{
	unsigned char bytes[LONG_BYTES];
	size_t prefix_length = strlen(prefix);

	randombytes_buf(bytes, byte_count);
	memcpy(out_text, prefix, prefix_length);
	sodium_bin2base64(out_text + prefix_length, TOKEN_TEXT_SIZE - prefix_length, bytes, byte_count,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(bytes, sizeof bytes);
	hash_text(out_text, out_hash);
}

void token_make(char out_text[TOKEN_TEXT_SIZE], uint8_t out_hash[TOKEN_HASH_BYTES])
{
	make(TOKEN_PREFIX, TOKEN_BYTES, out_text, out_hash);
}

void tokens_make_long(const struct tokens *t, struct arena *mem, uint64_t account_id, int64_t expires_at_ms,
	const char *member_of, char out_text[TOKEN_TEXT_SIZE], uint8_t out_hash[TOKEN_HASH_BYTES])
{
	if (t->jwt_secret == NULL) {
		make(LONG_PREFIX, LONG_BYTES, out_text, out_hash);
		return;
	}
	jwt_make(mem, t->jwt_secret, account_id, expires_at_ms, member_of, out_text);
	hash_text(out_text, out_hash);
}

static bool formed(const char *text, const char *prefix, size_t chars)
{
	size_t prefix_length = strlen(prefix);

	return strncmp(text, prefix, prefix_length) == 0 && strnlen(text, TOKEN_TEXT_SIZE) == prefix_length + chars;
}

/* False when the text cannot be one of ours. */
static bool token_hash(const struct tokens *t, struct arena *mem, const char *text, uint8_t out_hash[TOKEN_HASH_BYTES])
{
	if (!formed(text, TOKEN_PREFIX, TOKEN_CHARS) && !formed(text, LONG_PREFIX, LONG_CHARS) &&
		(t->jwt_secret == NULL || !jwt_holds(mem, t->jwt_secret, text, clock_wall_ms())))
		return false;
	hash_text(text, out_hash);
	return true;
}

static struct kept *set_of(struct tokens *t, const uint8_t hash[TOKEN_HASH_BYTES], pthread_mutex_t **out_lock)
{
	uint64_t key;

	memcpy(&key, hash, sizeof key);
	size_t set = (size_t)(key % t->sets);
	*out_lock = &t->locks[set % SHARDS];
	return &t->kept[set * WAYS];
}

static void answer_copy(struct arena *mem, const struct token_answer *from, struct token_answer *out)
{
	*out = *from;
	user_view_copy(mem, &from->account, &out->account);
	out->client_label = arena_strdup(mem, from->client_label);
}

static bool look_up(
	struct tokens *t, struct arena *mem, const uint8_t hash[TOKEN_HASH_BYTES], struct token_answer *out)
{
	int64_t now_mono_ms = clock_mono_ms();
	pthread_mutex_t *lock;
	struct kept *set = set_of(t, hash, &lock);
	bool found = false;

	pthread_mutex_lock(lock);
	for (size_t i = 0; i < WAYS && !found; i++) {
		found = set[i].until_mono_ms > now_mono_ms &&
			sodium_memcmp(set[i].hash, hash, TOKEN_HASH_BYTES) == 0;
		if (found)
			answer_copy(mem, &set[i].answer, out);
	}
	pthread_mutex_unlock(lock);
	/* Of a history that is lost, perhaps with the session. */
	if (found && out->generation != db_met_generation(t->db))
		return false;
	return found && (out->expires_at_ms == 0 || out->expires_at_ms > clock_wall_ms());
}

static void keep(struct tokens *t, const uint8_t hash[TOKEN_HASH_BYTES], const struct token_answer *answer,
	uint64_t drops_before)
{
	pthread_mutex_t *lock;
	struct kept *set = set_of(t, hash, &lock), *slot = set;

	pthread_mutex_lock(lock);
	if (atomic_load(&t->drops) == drops_before) {
		for (size_t i = 0; i < WAYS; i++) {
			if (memcmp(set[i].hash, hash, TOKEN_HASH_BYTES) == 0) {
				slot = &set[i];
				break;
			}
			if (set[i].until_mono_ms < slot->until_mono_ms)
				slot = &set[i];
		}
		if (slot->mem == NULL)
			slot->mem = arena_create();
		else
			arena_reset(slot->mem);
		memcpy(slot->hash, hash, TOKEN_HASH_BYTES);
		answer_copy(slot->mem, answer, &slot->answer);
		slot->until_mono_ms = clock_mono_ms() + KEPT_MS;
	}
	pthread_mutex_unlock(lock);
}

static void drop(struct tokens *t, uint64_t session_id, uint64_t account_id)
{
	atomic_fetch_add(&t->drops, 1);
	for (size_t set = 0; set < t->sets; set++) {
		pthread_mutex_t *lock = &t->locks[set % SHARDS];
		pthread_mutex_lock(lock);
		for (struct kept *k = &t->kept[set * WAYS]; k < &t->kept[(set + 1) * WAYS]; k++) {
			if ((session_id != 0 && k->answer.session_id == session_id) ||
				(account_id != 0 && k->answer.account.id == account_id))
				k->until_mono_ms = 0;
		}
		pthread_mutex_unlock(lock);
	}
}

void tokens_drop_session(struct tokens *t, uint64_t session_id)
{
	drop(t, session_id, 0);
}

void tokens_drop_account(struct tokens *t, uint64_t account_id)
{
	drop(t, 0, account_id);
}

/* The stream's row rides along: its epoch must be of the same snapshot as the session it speaks for. A bot ends
 * with its owner's account, whenever the job that says so to its sockets comes. */
#define RESOLVE_SQL                                                                                          \
	"SELECT s.id, s.token_hash, coalesce(s.expires_at_ms, 0), s.revoked_at_ms IS NOT NULL, "              \
	"s.client_label, "                                                                                    \
	"s.last_used_at_ms, st.authz_epoch, st.seq, s.scopes, o.erased_at_ms IS NOT NULL, "                   \
	"o.disabled_at_ms IS NOT NULL, " ACCOUNT_COLUMNS " FROM auth.sessions s "                             \
	"JOIN auth.accounts a ON a.id = s.account_id JOIN log.streams st ON st.rank = 2 AND st.id = a.id "    \
	"LEFT JOIN auth.accounts o ON o.id = a.owner_id WHERE s.token_hash = "
static const struct db_stmt resolve = {"tokens_resolve", RESOLVE_SQL "$1"};
static const struct db_stmt resolve_many = {"tokens_resolve_many",
	"SELECT r.* FROM unnest($1::bytea[]) AS q(hash) CROSS JOIN LATERAL (" RESOLVE_SQL "q.hash OFFSET 0) r"};
static const struct db_stmt touch = {"tokens_touch",
	"UPDATE auth.sessions SET last_used_at_ms = $2 WHERE id = ANY ($1) AND last_used_at_ms < $2"};
enum {
	COLUMN_SESSION,
	COLUMN_HASH,
	COLUMN_EXPIRES,
	COLUMN_REVOKED,
	COLUMN_LABEL,
	COLUMN_USED,
	COLUMN_EPOCH,
	COLUMN_SEQ,
	COLUMN_SCOPES,
	COLUMN_OWNER_ERASED,
	COLUMN_OWNER_DISABLED,
	COLUMN_ACCOUNT
};

static enum status read_row(const struct db_rows *rows, int row, const uint8_t hash[TOKEN_HASH_BYTES],
	struct arena *mem, struct token_answer *out, const char **out_why)
{
	size_t length = 0;

	if (row >= rows->count)
		return STATUS_UNAUTHENTICATED;
	const uint8_t *stored = db_bytea(rows, row, COLUMN_HASH, &length);
	if (length != TOKEN_HASH_BYTES || sodium_memcmp(stored, hash, TOKEN_HASH_BYTES) != 0)
		return STATUS_UNAUTHENTICATED;
	int64_t expires_at_ms = db_i64(rows, row, COLUMN_EXPIRES);
	*out = (struct token_answer){
		.session_id = db_id(rows, row, COLUMN_SESSION),
		.epoch = db_id(rows, row, COLUMN_EPOCH),
		.user_stream_seq = db_id(rows, row, COLUMN_SEQ),
		.expires_at_ms = expires_at_ms,
		.scopes = db_is_null(rows, row, COLUMN_SCOPES) ? SCOPES_PERSON
							     : db_id(rows, row, COLUMN_SCOPES) & SCOPES_BOT,
		.client_label = db_text(rows, row, COLUMN_LABEL),
	};
	accounts_row(rows, row, COLUMN_ACCOUNT, &out->account);
	if (out->account.erased || db_bool(rows, row, COLUMN_OWNER_ERASED))
		return STATUS_UNAUTHENTICATED;
	/* Before its end, which this brings with it: a client may say why. */
	if (out->account.disabled || db_bool(rows, row, COLUMN_OWNER_DISABLED)) {
		*out_why = "disabled";
		return STATUS_UNAUTHENTICATED;
	}
	bool over = expires_at_ms != 0 && expires_at_ms <= clock_wall_ms();
	return db_bool(rows, row, COLUMN_REVOKED) || over ? STATUS_UNAUTHENTICATED : STATUS_OK;
}

bool tokens_kept(struct tokens *t, struct arena *mem, const char *token, struct token_answer *out)
{
	uint8_t hash[TOKEN_HASH_BYTES];

	return token_hash(t, mem, token, hash) && look_up(t, mem, hash, out);
}

/* For people who look through their sessions; nothing depends on it, so a failure is let be. */
static void touch_sessions(struct db_conn *conn, struct arena *mem, const uint64_t *sessions, size_t count)
{
	struct db_params params;

	db_params_begin(&params, mem);
	db_put_ids(&params, sessions, count);
	db_put_i64(&params, clock_wall_ms());
	(void)db_query(conn, mem, &touch, &params, NULL);
}

enum status tokens_resolve(struct tokens *t, struct arena *mem, const char *token, bool fresh,
	int64_t deadline_mono_ms, struct token_answer *out, const char **out_why)
{
	uint8_t hash[TOKEN_HASH_BYTES];
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows;

	if (!token_hash(t, mem, token, hash))
		return STATUS_UNAUTHENTICATED;
	if (!fresh && look_up(t, mem, hash, out))
		return STATUS_OK;
	uint64_t drops_before = atomic_load(&t->drops);
	enum status st = db_acquire(t->db, deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, mem);
	db_put_bytea(&params, hash, sizeof hash);
	st = db_query(conn, mem, &resolve, &params, &rows);
	if (st == STATUS_OK)
		st = read_row(&rows, 0, hash, mem, out, out_why);
	if (st == STATUS_OK) {
		out->generation = db_generation(conn);
		keep(t, hash, out, drops_before);
		if (db_i64(&rows, 0, COLUMN_USED) + USED_AFTER_MS < clock_wall_ms())
			touch_sessions(conn, mem, &out->session_id, 1);
	}
	db_release(conn);
	return st;
}

enum status tokens_resolve_many(struct tokens *t, struct arena *mem, const char *const *texts, size_t count,
	int64_t deadline_mono_ms, struct token_result *out)
{
	uint8_t *hashes = arena_alloc(mem, count * TOKEN_HASH_BYTES + 1);
	const void **asked = ARENA_ARRAY(mem, count + 1, const void *);
	size_t *lengths = ARENA_ARRAY(mem, count + 1, size_t), asked_count = 0, old = 0;
	uint64_t *used = ARENA_ARRAY(mem, count + 1, uint64_t);
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};

	for (size_t i = 0; i < count; i++) {
		uint8_t *hash = hashes + i * TOKEN_HASH_BYTES;
		out[i] = (struct token_result){.status = STATUS_UNAUTHENTICATED};
		if (!token_hash(t, mem, texts[i], hash)) {
			memset(hash, 0, TOKEN_HASH_BYTES); /* the hash of nothing that anybody could have */
			continue;
		}
		asked[asked_count] = hash;
		lengths[asked_count++] = TOKEN_HASH_BYTES;
	}
	if (asked_count == 0)
		return STATUS_OK;
	uint64_t drops_before = atomic_load(&t->drops);
	enum status st = db_acquire(t->db, deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, mem);
	db_put_byteas(&params, asked, lengths, asked_count);
	st = db_query(conn, mem, &resolve_many, &params, &rows);
	int64_t now_ms = clock_wall_ms();
	for (int row = 0; st == STATUS_OK && row < rows.count; row++) {
		size_t length = 0;
		const uint8_t *stored = db_bytea(&rows, row, COLUMN_HASH, &length);
		for (size_t i = 0; i < count; i++) {
			const uint8_t *hash = hashes + i * TOKEN_HASH_BYTES;
			if (length != TOKEN_HASH_BYTES || sodium_memcmp(stored, hash, TOKEN_HASH_BYTES) != 0)
				continue;
			out[i].status = read_row(&rows, row, hash, mem, &out[i].answer, &out[i].why);
			if (out[i].status != STATUS_OK)
				continue;
			out[i].answer.generation = db_generation(conn);
			keep(t, hash, &out[i].answer, drops_before);
			if (db_i64(&rows, row, COLUMN_USED) + USED_AFTER_MS < now_ms && old < count)
				used[old++] = out[i].answer.session_id;
		}
	}
	if (old > 0)
		touch_sessions(conn, mem, used, old);
	db_release(conn);
	return st;
}

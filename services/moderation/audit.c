#include "services/moderation/audit.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/text.h"
#include "services/moderation/rows.h"

/* ---- actions */

static const struct {
	const char *word, *target;
} actions[] = {
#define KIND_TEAM    "team"
#define KIND_USER    "user"
#define KIND_INVITE  "invite"
#define KIND_ROLE    "role"
#define KIND_CHANNEL "channel"
#define KIND_MESSAGE "message"
#define KIND_WEBHOOK "webhook"
#define KIND_SCOPE   NULL
#define AUDIT(action, target) [AUDIT_##action] = {#action, KIND_##target},
#include "services/moderation/audit_actions.tbl.h"
#undef AUDIT
};

const char *audit_action_word(enum audit_action action)
{
	return actions[action].word;
}

bool audit_action_known(const char *word)
{
	for (size_t i = 0; i < AUDIT_ACTION_COUNT; i++)
		if (strcmp(actions[i].word, word) == 0)
			return true;
	return false;
}

/* ---- changes */

void audit_changes_begin(struct audit_changes *a, struct arena *mem)
{
	*a = (struct audit_changes){.mem = mem};
	jw_begin(&a->w, mem, 256);
	jw_object(&a->w);
}

const char *audit_changes_end(struct audit_changes *a)
{
	size_t length;

	jw_object_end(&a->w);
	return jw_end(&a->w, &length);
}

static struct json_writer *named(struct audit_changes *a, const char *key)
{
	assert(a->last == NULL || strcmp(a->last, key) < 0);
	a->last = key;
	jw_key(&a->w, key);
	return &a->w;
}

/* As much of a text as an entry takes. What was stored once is valid UTF-8. */
static const char *cut(struct arena *mem, const char *text)
{
	size_t points = 0, at = 0;

	if (text == NULL)
		return NULL;
	for (; text[at] != '\0'; at++) {
		bool begins = ((unsigned char)text[at] & 0xc0) != 0x80;
		if (begins && points++ == AUDIT_TEXT_MAX)
			return arena_printf(mem, "%.*s…", (int)at, text);
	}
	return text;
}

static void write_permissions(struct json_writer *w, struct bits set)
{
	jw_array(w);
	for (int n = 0; n < 128; n++)
		if (bits_has(set, (enum permission)n) && permission_name((enum permission)n) != NULL)
			jw_str(w, permission_name((enum permission)n));
	jw_array_end(w);
}

void audit_text(struct audit_changes *a, const char *key, const char *text)
{
	jw_str(named(a, key), cut(a->mem, text));
}

void audit_id(struct audit_changes *a, const char *key, uint64_t id)
{
	jw_uuid(named(a, key), id);
}

void audit_ids(struct audit_changes *a, const char *key, const uint64_t *ids, size_t count)
{
	struct json_writer *w = named(a, key);

	jw_array(w);
	for (size_t i = 0; i < count; i++)
		jw_uuid(w, ids[i]);
	jw_array_end(w);
}

void audit_number(struct audit_changes *a, const char *key, int64_t value)
{
	jw_i64(named(a, key), value);
}

void audit_flag(struct audit_changes *a, const char *key, bool value)
{
	jw_bool(named(a, key), value);
}

void audit_time(struct audit_changes *a, const char *key, int64_t wall_ms)
{
	jw_time(named(a, key), wall_ms);
}

void audit_permissions(struct audit_changes *a, const char *key, struct bits set)
{
	write_permissions(named(a, key), set);
}

#define FROM_TO(a, key, write, from, to)                                                                     \
	do {                                                                                                 \
		struct json_writer *w_ = named((a), (key));                                                  \
		jw_object(w_);                                                                               \
		jw_key(w_, "from");                                                                          \
		write(w_, (from));                                                                           \
		jw_key(w_, "to");                                                                            \
		write(w_, (to));                                                                             \
		jw_object_end(w_);                                                                           \
	} while (0)

void audit_text_change(struct audit_changes *a, const char *key, const char *from, const char *to)
{
	FROM_TO(a, key, jw_str, cut(a->mem, from), cut(a->mem, to));
}

void audit_id_change(struct audit_changes *a, const char *key, uint64_t from, uint64_t to)
{
	FROM_TO(a, key, jw_uuid, from, to);
}

void audit_number_change(struct audit_changes *a, const char *key, int64_t from, int64_t to)
{
	FROM_TO(a, key, jw_i64, from, to);
}

void audit_flag_change(struct audit_changes *a, const char *key, bool from, bool to)
{
	FROM_TO(a, key, jw_bool, from, to);
}

void audit_time_change(struct audit_changes *a, const char *key, int64_t from_ms, int64_t to_ms)
{
	FROM_TO(a, key, jw_time, from_ms, to_ms);
}

void audit_permissions_change(struct audit_changes *a, const char *key, struct bits from, struct bits to)
{
	struct json_writer *w = named(a, key);

	jw_object(w);
	jw_key(w, "added");
	write_permissions(w, bits_minus(to, from));
	jw_key(w, "removed");
	write_permissions(w, bits_minus(from, to));
	jw_object_end(w);
}

/* ---- the hash */

#define HASH_VERSION "guildhall-audit-1"

void audit_hash(struct arena *mem, const pb_AuditView *entry, const uint8_t prev[AUDIT_HASH_BYTES],
	uint8_t out[AUDIT_HASH_BYTES])
{
	crypto_generichash_state state;
	struct json_writer w;
	size_t length;

	_Static_assert(AUDIT_HASH_BYTES == crypto_generichash_BYTES, "BLAKE2b-256");
	jw_begin(&w, mem, 512);
	jw_array(&w);
	jw_str(&w, HASH_VERSION);
	jw_uuid(&w, entry->team_id);
	jw_u64(&w, entry->no);
	jw_uuid(&w, entry->id);
	jw_time(&w, (int64_t)entry->at_ms);
	jw_uuid(&w, entry->actor_id);
	jw_str(&w, entry->action);
	jw_str(&w, entry->target_kind);
	jw_uuid(&w, entry->target_id);
	jw_raw(&w, entry->changes, strlen(entry->changes));
	jw_str(&w, entry->why);
	jw_u64(&w, entry->cause_seq);
	jw_array_end(&w);
	const char *text = jw_end(&w, &length);
	crypto_generichash_init(&state, NULL, 0, AUDIT_HASH_BYTES);
	crypto_generichash_update(&state, prev, AUDIT_HASH_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)text, length);
	crypto_generichash_final(&state, out, AUDIT_HASH_BYTES);
}

/* ---- recording */

static const struct db_stmt head_stmt = {"moderation_audit_head",
	"SELECT no, hash FROM moderation.audit_heads WHERE team_id = $1"};
static const struct db_stmt append_stmt = {"moderation_audit_append",
	"WITH head AS (INSERT INTO moderation.audit_heads (team_id, no, hash) VALUES ($1, $2, $13)"
	"  ON CONFLICT (team_id) DO UPDATE SET no = $2, hash = $13)"
	" INSERT INTO moderation.audit (team_id, no, id, at_ms, actor_id, action, target_kind, target_id, changes, why,"
	" cause_seq, prev_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"};
static const struct db_stmt recorded_stmt = {"moderation_audit_recorded",
	"SELECT 1 FROM moderation.audit WHERE team_id = $1 AND cause_seq = $2"};

static enum status head_read(struct change *c, uint64_t team_id, uint64_t *out_no, uint8_t out_hash[AUDIT_HASH_BYTES])
{
	struct db_params p;
	struct db_rows rows = {0};
	size_t length;

	change_params(c, &p);
	db_put_id(&p, team_id);
	enum status st = change_query(c, &head_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	*out_no = 0;
	memset(out_hash, 0, AUDIT_HASH_BYTES);
	if (rows.count == 0)
		return STATUS_OK;
	const uint8_t *hash = db_bytea(&rows, 0, 1, &length);
	if (hash == NULL || length != AUDIT_HASH_BYTES)
		return STATUS_INTERNAL;
	*out_no = db_id(&rows, 0, 0);
	memcpy(out_hash, hash, AUDIT_HASH_BYTES);
	return STATUS_OK;
}

static enum status recorded_before(struct change *c, uint64_t team_id, uint64_t cause_seq, bool *out_recorded)
{
	struct db_params p;
	struct db_rows rows = {0};

	*out_recorded = false;
	if (cause_seq == 0)
		return STATUS_OK;
	change_params(c, &p);
	db_put_id(&p, team_id);
	db_put_id(&p, cause_seq);
	enum status st = change_query(c, &recorded_stmt, &p, &rows);
	*out_recorded = st == STATUS_OK && rows.count > 0;
	return st;
}

static enum status row_write(struct change *c, const pb_AuditView *v)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, v->team_id);
	db_put_id(&p, v->no);
	db_put_id(&p, v->id);
	db_put_id(&p, v->at_ms);
	db_put_id_or_null(&p, v->actor_id);
	db_put_text(&p, v->action);
	db_put_text(&p, v->target_kind);
	db_put_id_or_null(&p, v->target_id);
	db_put_text(&p, v->changes);
	db_put_text(&p, v->why);
	db_put_id_or_null(&p, v->cause_seq);
	db_put_bytea(&p, v->prev_hash->bytes, v->prev_hash->size);
	db_put_bytea(&p, v->hash->bytes, v->hash->size);
	return change_query(c, &append_stmt, &p, NULL);
}

enum status audit_append(struct change *c, const struct audit_entry *entry)
{
	const struct facts *f = change_actor(c);
	uint8_t prev[AUDIT_HASH_BYTES], hash[AUDIT_HASH_BYTES];
	uint64_t head_no = 0, id = 0;
	bool recorded = false;
	char key[AUDIENCE_SIZE];

	if (f->eval.team == NULL)
		return STATUS_OK;
	enum status st = recorded_before(c, f->team.id, entry->cause_seq, &recorded);
	if (st != STATUS_OK || recorded)
		return st;
	st = head_read(c, f->team.id, &head_no, prev);
	if (st == STATUS_OK)
		st = ids_next(c->service->ids, c->now_ms, clock_mono_ms(), &id);
	if (st != STATUS_OK)
		return st;

	pb_Event *ev = change_event(c, EVENT_KIND_audit_recorded);
	if (entry->actor != NULL) {
		ev->has_actor = true;
		ev->actor = *entry->actor;
	}
	ev->body.audit_recorded.has_entry = true;
	pb_AuditView *v = &ev->body.audit_recorded.entry;
	*v = (pb_AuditView){.team_id = f->team.id,
		.no = head_no + 1,
		.id = id,
		.at_ms = (uint64_t)(entry->cause_seq != 0 ? entry->cause_at_ms : c->now_ms),
		.actor_id = ev->has_actor ? ev->actor.id : 0,
		.has_actor = ev->has_actor,
		.actor = ev->actor,
		.action = (char *)actions[entry->action].word,
		.target_kind = (char *)(entry->target_kind != NULL ? entry->target_kind
								    : actions[entry->action].target),
		.target_id = entry->target_id,
		.changes = (char *)(entry->changes != NULL ? entry->changes : "{}"),
		.why = (char *)(entry->why != NULL && entry->why[0] != '\0' ? entry->why : NULL),
		.cause_seq = entry->cause_seq};
	assert(v->target_kind != NULL);
	if (strlen(v->changes) > AUDIT_CHANGES_MAX)
		v->changes = (char *)"{\"too_large\":true}"; /* what happened is recorded in any case */
	audit_hash(c->mem, v, prev, hash);
	v->prev_hash = pb_bytes_from(c->mem, prev, sizeof prev);
	v->hash = pb_bytes_from(c->mem, hash, sizeof hash);
	st = row_write(c, v);
	if (st == STATUS_OK && entry->actor != NULL)
		st = rows_put_person(c, entry->actor);
	if (st != STATUS_OK)
		return st;
	audience_can(key, f->team.id, PERMISSION_view_audit_log);
	return change_append(c, f->stream, key, ev, NULL);
}

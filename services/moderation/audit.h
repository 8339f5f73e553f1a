/*
 * audit - the record of what was done in a team: append only, numbered without gaps, each entry's hash over the one
 * before it and over its own fields, so that nothing in it can be altered, taken out or put in unnoticed. Entries are
 * written in the transaction of the change they record, under the lock of the team's stream, which is what makes a
 * chain of them. How a hash is made: docs/architecture.md, "The audit chain".
 */
#pragma once

#include "common/json/writer.h"
#include "services/moderation/change.h"

enum audit_action {
#define AUDIT(action, target) AUDIT_##action,
#include "services/moderation/audit_actions.tbl.h"
#undef AUDIT
	AUDIT_ACTION_COUNT
};
const char *audit_action_word(enum audit_action action);
bool audit_action_known(const char *word);

/* ---- what changed: one JSON object in canonical form (RFC 8785), so its keys must come in ascending order */

#define AUDIT_CHANGES_MAX 8192 /* bytes */
#define AUDIT_TEXT_MAX    128  /* code points of one text; longer ones are cut, with an ellipsis */

struct audit_changes {
	struct json_writer w;
	struct arena *mem;
	const char *last; /* key */
};
void audit_changes_begin(struct audit_changes *a, struct arena *mem);
const char *audit_changes_end(struct audit_changes *a);
void audit_text(struct audit_changes *a, const char *key, const char *text); /* NULL: null, as with all below */
void audit_id(struct audit_changes *a, const char *key, uint64_t id);
void audit_ids(struct audit_changes *a, const char *key, const uint64_t *ids, size_t count);
void audit_number(struct audit_changes *a, const char *key, int64_t value);
void audit_flag(struct audit_changes *a, const char *key, bool value);
void audit_time(struct audit_changes *a, const char *key, int64_t wall_ms);
/* Names of permissions. */
void audit_permissions(struct audit_changes *a, const char *key, struct bits set);
/* {"from":...,"to":...} */
void audit_text_change(struct audit_changes *a, const char *key, const char *from, const char *to);
void audit_id_change(struct audit_changes *a, const char *key, uint64_t from, uint64_t to);
void audit_number_change(struct audit_changes *a, const char *key, int64_t from, int64_t to);
void audit_flag_change(struct audit_changes *a, const char *key, bool from, bool to);
void audit_time_change(struct audit_changes *a, const char *key, int64_t from_ms, int64_t to_ms);
/* {"added":[...],"removed":[...]}: shorter than both sets would be. */
void audit_permissions_change(struct audit_changes *a, const char *key, struct bits from, struct bits to);

/* ---- recording */

struct audit_entry {
	enum audit_action action;
	uint64_t target_id;      /* 0: what it concerns has no id */
	const char *target_kind; /* NULL: as the table says */
	const char *changes;     /* of audit_changes_end; NULL: nothing to say */
	const char *why;         /* a motive or reason, or NULL */
	/* For what other owners did: the team's event that told of it, when it was, and who did it. An event is recorded once. */
	uint64_t cause_seq;
	int64_t cause_at_ms;
	const pb_UserView *actor;
};
/*
 * In work, behind all other events of the change (a deleted team: before team_deleted, the last of its stream). Writes
 * the row and audit_recorded to those who may read the log. Nothing happens where there is no team. STATUS_BUSY when no
 * ids can be made.
 */
enum status audit_append(struct change *c, const struct audit_entry *entry);

/* ---- reading */

#define AUDIT_HASH_BYTES 32

/* The hash of an entry behind prev; fields as stored. Pure. */
void audit_hash(struct arena *mem, const pb_AuditView *entry, const uint8_t prev[AUDIT_HASH_BYTES],
	uint8_t out[AUDIT_HASH_BYTES]);

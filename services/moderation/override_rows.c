#include "services/moderation/override_rows.h"

#include "services/moderation/audit.h"

static const struct db_stmt put_stmt = {"moderation_put_override",
	"INSERT INTO moderation.overrides (scope, scope_id, subject_kind, subject_id, team_id, allow_low, allow_high, deny_low,"
	" deny_high) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (scope, scope_id, subject_kind, subject_id)"
	" DO UPDATE SET allow_low = $6, allow_high = $7, deny_low = $8, deny_high = $9"};
static const struct db_stmt remove_stmt = {"moderation_remove_override",
	"DELETE FROM moderation.overrides o WHERE o.scope = $1 AND o.scope_id = $2 AND o.subject_kind = $3 AND o.subject_id = $4"};

enum status override_write(struct change *c, const struct override_moved *m)
{
	struct db_params p;

	change_params(c, &p);
	db_put_i16(&p, (int16_t)m->scope);
	db_put_id(&p, m->scope_id);
	db_put_i16(&p, (int16_t)m->subject_kind);
	db_put_id(&p, m->subject_id);
	if (override_empty(&m->after))
		return change_query(c, &remove_stmt, &p, NULL);
	db_put_id(&p, change_actor(c)->team.id);
	db_put_i64(&p, (int64_t)m->after.allow.low);
	db_put_i64(&p, (int64_t)m->after.allow.high);
	db_put_i64(&p, (int64_t)m->after.deny.low);
	db_put_i64(&p, (int64_t)m->after.deny.high);
	return change_query(c, &put_stmt, &p, NULL);
}

enum status override_tell(struct change *c, const struct override_moved *m)
{
	const struct facts *f = change_actor(c);
	bool removed = override_empty(&m->after);
	pb_Event *ev = change_event(c, removed ? EVENT_KIND_override_removed : EVENT_KIND_override_set);
	pb_OverrideEvent body = {.team_id = f->team.id,
		.scope = m->scope,
		.scope_id = m->scope_id,
		.subject_kind = m->subject_kind,
		.subject_id = m->subject_id,
		.has_allow = true,
		.allow = {m->after.allow.low, m->after.allow.high},
		.has_deny = true,
		.deny = {m->after.deny.low, m->after.deny.high},
		.has_channel = m->channel != NULL};
	bool own = m->channel != NULL && m->restricted;
	char key[AUDIENCE_SIZE];

	if (m->channel != NULL)
		body.channel = *m->channel;
	if (removed)
		ev->body.override_removed = body;
	else
		ev->body.override_set = body;
	audience_key(key, own ? "channel" : "team", own ? m->scope_id : f->team.id);
	return change_append(c, f->stream, key, ev, NULL);
}

enum status override_record(struct change *c, const struct override_moved *m)
{
	struct audit_changes a;

	audit_changes_begin(&a, c->mem);
	audit_permissions_change(&a, "allow", m->before.allow, m->after.allow);
	audit_permissions_change(&a, "deny", m->before.deny, m->after.deny);
	audit_id(&a, "subject_id", m->subject_id);
	audit_text(&a, "subject_kind", m->subject_kind == OVERRIDE_OF_ROLE ? "role" : "user");
	return audit_append(
		c, &(struct audit_entry){.action = override_empty(&m->after) ? AUDIT_override_removed : AUDIT_override_set,
			   .target_id = m->scope_id != 0 ? m->scope_id : change_actor(c)->team.id,
			   .target_kind = override_scope_word(m->scope),
			   .changes = audit_changes_end(&a)});
}

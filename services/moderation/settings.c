/*
 * settings - what a team has set for its clients: names and JSON values that mean nothing to us. Some every team has, with a value
 * of ours until it sets another (settings.tbl.h), and those are everybody's to read; the others take read_settings.
 */
#include <string.h>

#include "common/json/reader.h"
#include "services/moderation/audit.h"
#include "services/moderation/change.h"

enum { SETTABLE, FIXED };
static const struct {
	const char *name, *value;
	int fixed;
} provisioned[] = {
#define SETTING(name, value, who) {name, value, who},
#include "services/moderation/settings.tbl.h"
#undef SETTING
};
#define PROVISIONED (sizeof provisioned / sizeof *provisioned)

#define SETTINGS_MAX      200
#define SETTING_NAME_MAX  64
#define SETTING_BYTES_MAX 4096

static size_t provisioned_at(const char *name)
{
	size_t i = 0;

	while (i < PROVISIONED && strcmp(provisioned[i].name, name) != 0)
		i++;
	return i;
}

/* ---- reading */

/* All of the team, or those with a prefix; "" is one of all. */
static const struct db_stmt list_stmt = {"moderation_settings",
	"SELECT s.name, s.value, s.updated_at_ms, s.updated_by FROM moderation.team_settings s"
	" WHERE s.team_id = $1 AND starts_with(s.name, $2::text) ORDER BY s.name COLLATE \"C\""};

static void add(pb_ListSettingsReply *out, pb_SettingView setting)
{
	out->settings[out->settings_count++] = setting;
}

/* Merges two sorted lists: what is set, and what there is anyway. current: only of the names that every team has. */
static void merge(const struct db_rows *rows, struct arena *mem, const char *prefix, bool current, pb_ListSettingsReply *out)
{
	size_t p = 0, count = (size_t)rows->count;

	out->settings = ARENA_ARRAY(mem, count + PROVISIONED, pb_SettingView);
	for (size_t i = 0; i <= count; i++) {
		const char *name = i < count ? db_text(rows, (int)i, 0) : NULL;
		for (; p < PROVISIONED && (name == NULL || strcmp(provisioned[p].name, name) < 0); p++)
			if (strncmp(provisioned[p].name, prefix, strlen(prefix)) == 0)
				add(out, (pb_SettingView){.name = (char *)provisioned[p].name,
						 .value = (char *)provisioned[p].value});
		if (name == NULL)
			break;
		bool everybodys = p < PROVISIONED && strcmp(provisioned[p].name, name) == 0;
		p += everybodys;
		if (everybodys || !current)
			add(out, (pb_SettingView){.name = arena_strdup(mem, name),
					 .value = arena_strdup(mem, db_text(rows, (int)i, 1)),
					 .updated_at_ms = db_id(rows, (int)i, 2),
					 .updated_by = db_id(rows, (int)i, 3)});
	}
}

static enum status load(struct db_conn *conn, struct arena *mem, uint64_t team_id, const char *prefix, bool current,
	pb_ListSettingsReply *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_id(&p, team_id);
	db_put_text(&p, prefix);
	enum status st = db_query(conn, mem, &list_stmt, &p, &rows);
	if (st == STATUS_OK)
		merge(&rows, mem, prefix, current, out);
	return st;
}

void serve_list_settings(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListSettingsRequest *rq = request;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_conn *conn = NULL;

	if (read_begin(service, call, rq->team_id, 0, rq->current ? READ_VISIBLE : PERMISSION_read_settings, &conn, f) !=
		STATUS_OK)
		return;
	read_end(call, conn,
		load(conn, call->mem, rq->team_id, rq->prefix != NULL ? rq->prefix : "", rq->current, reply));
}

void serve_get_setting(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_GetSettingRequest *rq = request;
	pb_SettingReply *out = reply;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	const char *name = rq->name != NULL ? rq->name : "";
	pb_ListSettingsReply list = {0};
	struct db_conn *conn = NULL;

	if (read_begin(service, call, rq->team_id, 0, PERMISSION_read_settings, &conn, f) != STATUS_OK)
		return;
	enum status st = load(conn, call->mem, rq->team_id, name, false, &list);
	for (size_t i = 0; i < list.settings_count && !out->has_setting; i++) {
		out->has_setting = strcmp(list.settings[i].name, name) == 0;
		if (out->has_setting)
			out->setting = list.settings[i];
	}
	read_end(call, conn, st);
}

/* ---- setting */

/* One JSON value, whatever it is; NULL when it is none. */
static const json_t *value_of(struct arena *mem, const char *value)
{
	size_t length = strlen(value);
	struct json_reader r;

	if (length == 0 || length > SETTING_BYTES_MAX)
		return NULL;
	const char *object = arena_printf(mem, "{\"value\":%s}", value);
	if (json_reader_begin(&r, mem, object, strlen(object)) != STATUS_OK || json_object_size(r.object) != 1)
		return NULL;
	return json_object_get(r.object, "value");
}

static bool same_type(const json_t *a, const json_t *b)
{
	return json_is_boolean(a) ? json_is_boolean(b) : json_typeof(a) == json_typeof(b);
}

/* Clients rely on what those that every team has are; of the others nobody knows. */
static bool value_fits(struct arena *mem, size_t at, const char *text)
{
	const json_t *value = value_of(mem, text);

	return value != NULL && (at == PROVISIONED || same_type(value_of(mem, provisioned[at].value), value));
}

static enum status change_refused(struct change *c, const pb_SettingChange *change)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
	size_t length = change->name != NULL ? strlen(change->name) : 0;

	if (length == 0 || length > SETTING_NAME_MAX || strspn(change->name, letters) != length)
		return change_field(c, "name");
	size_t at = provisioned_at(change->name);
	if (at < PROVISIONED && provisioned[at].fixed == FIXED)
		return change_refuse(c, STATUS_FORBIDDEN, "fixed", NULL);
	return change->value == NULL || value_fits(c->mem, at, change->value) ? STATUS_OK : change_field(c, "value");
}

static enum status prepare_set_settings(struct change *c)
{
	const pb_SetSettingsRequest *rq = c->request;

	c->op.keeps_rights = true;
	enum status st = rq->settings_count <= SETTINGS_MAX ? change_load(c, rq->team_id, 0, NULL, 0) : change_field(c, "values");
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_manage_team);
	for (size_t i = 0; st == STATUS_OK && i < rq->settings_count; i++)
		st = change_refused(c, &rq->settings[i]);
	return st;
}

static const struct db_stmt now_stmt = {
	"moderation_setting", "SELECT s.value FROM moderation.team_settings s WHERE s.team_id = $1 AND s.name = $2"};
static const struct db_stmt put_stmt = {"moderation_put_setting",
	"INSERT INTO moderation.team_settings (team_id, name, value, updated_at_ms, updated_by) VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (team_id, name) DO UPDATE SET value = $3, updated_at_ms = $4, updated_by = $5"};
static const struct db_stmt remove_stmt = {
	"moderation_remove_setting", "DELETE FROM moderation.team_settings WHERE team_id = $1 AND name = $2"};
static const struct db_stmt count_stmt = {
	"moderation_count_settings", "SELECT count(*) FROM moderation.team_settings WHERE team_id = $1"};

static void put_key(struct change *c, struct db_params *p, const char *name)
{
	change_params(c, p);
	db_put_id(p, change_actor(c)->team.id);
	db_put_text(p, name);
}

static enum status write(struct change *c, const pb_SettingChange *change)
{
	struct db_params p;

	put_key(c, &p, change->name);
	if (change->value == NULL)
		return change_query(c, &remove_stmt, &p, NULL);
	db_put_text(&p, change->value);
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, change_actor_id(c));
	return change_query(c, &put_stmt, &p, NULL);
}

static enum status tell(struct change *c, const pb_SettingChange *change)
{
	const struct facts *f = change_actor(c);
	pb_Event *ev = change_event(c, EVENT_KIND_team_setting_changed);
	char key[AUDIENCE_SIZE];

	ev->body.team_setting_changed =
		(pb_TeamSettingChanged){.team_id = f->team.id, .name = change->name, .value = change->value};
	audience_can(key, f->team.id, PERMISSION_read_settings);
	return change_append(c, f->stream, key, ev, NULL);
}

static enum status record(struct change *c, const pb_SettingChange *change, const char *was)
{
	struct audit_changes a;

	audit_changes_begin(&a, c->mem);
	audit_text(&a, "name", change->name);
	audit_text_change(&a, "value", was, change->value);
	return audit_append(c, &(struct audit_entry){.action = AUDIT_team_setting_changed,
				       .target_id = change_actor(c)->team.id,
				       .changes = audit_changes_end(&a)});
}

/* Nothing happens where it is so already. */
static enum status set_one(struct change *c, const pb_SettingChange *change)
{
	struct db_params p;
	struct db_rows rows = {0};

	put_key(c, &p, change->name);
	enum status st = change_query(c, &now_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	const char *was = rows.count == 1 ? db_text(&rows, 0, 0) : NULL;
	if (was == NULL ? change->value == NULL : change->value != NULL && strcmp(was, change->value) == 0)
		return STATUS_OK;
	st = write(c, change);
	if (st == STATUS_OK)
		st = tell(c, change);
	return st == STATUS_OK ? record(c, change, was) : st;
}

static enum status work_set_settings(struct change *c, struct log_tx *tx)
{
	const pb_SetSettingsRequest *rq = c->request;
	struct db_params p;
	struct db_rows rows = {0};
	enum status st = STATUS_OK;

	for (size_t i = 0; st == STATUS_OK && i < rq->settings_count; i++)
		st = set_one(c, &rq->settings[i]);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, rq->team_id);
	st = change_query(c, &count_stmt, &p, &rows);
	if (st == STATUS_OK && db_i64(&rows, 0, 0) > SETTINGS_MAX)
		return change_refuse(c, STATUS_AT_LIMIT, "settings", NULL);
	return st;
}

CHANGE_HANDLER(set_settings, pb_SetSettingsRequest, NULL)

/* Settings of the installation's team for clients, and the version of the server. */
#include <stdlib.h>
#include <string.h>

#include "services/api/dialects/crust/crust.h"

/* ---- current: one tree, "ui.browser-notifications.message-trim" being UI.BrowserNotifications.MessageTrim */

/* One part of a name, up to the next dot, as a key of the tree. */
static const char *tree_key(struct exchange *x, const char *part, size_t length)
{
	char *key = arena_alloc(x->mem, length + 1), *to = key;
	bool upper = true;

	if (length == 2 && memcmp(part, "ui", 2) == 0)
		return "UI";
	for (size_t i = 0; i < length; i++) {
		bool lower = part[i] >= 'a' && part[i] <= 'z';
		if (part[i] != '-')
			*to++ = (char)(upper && lower ? part[i] - 'a' + 'A' : part[i]);
		upper = part[i] == '-';
	}
	return key;
}

static void put_in_tree(struct exchange *x, json_t *tree, const pb_SettingView *setting)
{
	json_t *value = json_loads(setting->value, JSON_DECODE_ANY, NULL);
	const char *part = setting->name;

	if (value == NULL)
		return;
	for (;;) {
		size_t length = strcspn(part, ".");
		const char *key = tree_key(x, part, length);
		if (part[length] == '\0') {
			json_object_set_new(tree, key, value);
			return;
		}
		json_t *below = json_object_get(tree, key);
		if (!json_is_object(below)) {
			below = json_object();
			json_object_set_new(tree, key, below);
		}
		tree = below;
		part += length + 1;
	}
}

enum status crust_settings_current(struct exchange *x)
{
	pb_ListSettingsReply reply;
	struct json_writer w;
	enum status st = ASK(x, moderation, list_settings, x->team_id,
		&((pb_ListSettingsRequest){.team_id = x->team_id, .current = true}), &reply);

	if (st != STATUS_OK)
		return st;
	json_t *tree = json_object();
	for (size_t i = 0; i < reply.settings_count; i++)
		put_in_tree(x, tree, &reply.settings[i]);
	char *text = json_dumps(tree, JSON_COMPACT);
	json_decref(tree);
	if (text == NULL)
		return exchange_fail(x, STATUS_INTERNAL, NULL, NULL, NULL);
	crust_response(x, &w);
	jw_raw(&w, text, strlen(text));
	free(text);
	return crust_finish(x, &w);
}

/* ---- by name */

static void write_setting(struct json_writer *w, const pb_SettingView *setting)
{
	jw_object(w);
	jw_kv(w, str, "name", setting->name);
	jw_kv(w, raw, "value", setting->value, strlen(setting->value));
	if (setting->updated_at_ms != 0) {
		jw_key(w, "updatedAt");
		crust_time(w, setting->updated_at_ms);
	}
	jw_kv(w, u64, "updatedBy", setting->updated_by); /* a number here, as it always was */
	jw_object_end(w);
}

enum status crust_settings_list(struct exchange *x)
{
	pb_ListSettingsReply reply;
	struct crust_params p;
	struct json_writer w;

	crust_params(x, &p, CRUST_QUERY);
	enum status st = ASK(x, moderation, list_settings, x->team_id,
		&((pb_ListSettingsRequest){.team_id = x->team_id, .prefix = (char *)crust_param(&p, "prefix")}),
		&reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	jw_array(&w);
	for (size_t i = 0; i < reply.settings_count; i++)
		write_setting(&w, &reply.settings[i]);
	jw_array_end(&w);
	return crust_finish(x, &w);
}

enum status crust_settings_get(struct exchange *x)
{
	pb_SettingReply reply;
	struct json_writer w;
	enum status st = ASK(x, moderation, get_setting, x->team_id,
		&((pb_GetSettingRequest){.team_id = x->team_id, .name = (char *)route_param(&x->match, "key")}),
		&reply);

	if (st != STATUS_OK)
		return st;
	if (!reply.has_setting)
		return crust_nothing(x, "null");
	crust_response(x, &w);
	write_setting(&w, &reply.setting);
	return crust_finish(x, &w);
}

/* The value as JSON text; NULL: there is none, which removes the setting. */
static char *value_text(struct exchange *x, json_t *item)
{
	json_t *value = crust_member_of(item, "value");
	char *text = value == NULL || json_typeof(value) == JSON_NULL
			     ? NULL
			     : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text != NULL)
		arena_defer(x->mem, free, text);
	return text;
}

enum status crust_settings_update(struct exchange *x)
{
	pb_SetSettingsRequest request = {.team_id = x->team_id};
	struct crust_params p;
	pb_Empty nothing;

	crust_params(x, &p, CRUST_BODY);
	json_t *values = crust_param_json(&p, "values");
	enum status st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	if (values != NULL && !json_is_array(values))
		return exchange_fail(x, STATUS_MALFORMED, NULL, NULL, "values must be a list of name and value");
	size_t count = json_array_size(values);
	request.settings = ARENA_ARRAY(x->mem, count, pb_SettingChange);
	for (size_t i = 0; i < count; i++) {
		json_t *item = json_array_get(values, i);
		json_t *name = json_is_object(item) ? crust_member_of(item, "name") : NULL;
		if (!json_is_string(name))
			return exchange_fail(x, STATUS_MALFORMED, NULL, NULL, "values must be a list of name and value");
		request.settings[request.settings_count++] = (pb_SettingChange){
			.name = (char *)json_string_value(name), .value = value_text(x, item)};
	}
	st = CALL(x, moderation, set_settings, x->team_id, &request, &nothing);
	return st == STATUS_OK ? crust_nothing(x, "true") : st;
}

/* ---- version */

enum status crust_version_get(struct exchange *x)
{
	struct json_writer w;

	crust_response(x, &w);
	jw_object(&w);
	jw_kv(&w, str, "buildTime", "");
	jw_kv(&w, str, "version", GUILDHALL_VERSION);
	jw_object_end(&w);
	return crust_finish(x, &w);
}

/* Permissions: what can be ruled, what the caller may, and the rules of a role. */
#include <string.h>

#include "services/api/dialects/crust/crust.h"

static const char messaging[] = "messaging";

/* "messaging" or "messaging:channel:" and what follows. */
static const char *resource_text(struct exchange *x, const pb_OperationView *o, const char *of)
{
	return strcmp(o->resource, messaging) == 0 ? messaging : arena_printf(x->mem, "%s:%s", o->resource, of);
}

static enum status operations(struct exchange *x, uint64_t channel, pb_ListPermissionsReply *out)
{
	return ASK(x, moderation, list_permissions, channel != 0 ? channel : x->team_id,
		&((pb_ListPermissionsRequest){.team_id = x->team_id, .channel_id = channel}), out);
}

enum status crust_permissions_list(struct exchange *x)
{
	pb_ListPermissionsReply reply;
	struct json_writer w;
	enum status st = operations(x, 0, &reply);

	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	jw_array(&w);
	for (size_t i = 0; i < reply.operations_count; i++)
		crust_operation(&w, resource_text(x, &reply.operations[i], ""), reply.operations[i].operation);
	jw_array_end(&w);
	return crust_finish(x, &w);
}

/* The channel of "messaging:channel:123"; 0 for anything else. */
static uint64_t channel_of(const char *resource)
{
	static const char prefix[] = "messaging:channel:";

	return strncmp(resource, prefix, sizeof prefix - 1) == 0 ? crust_id_of(resource + sizeof prefix - 1) : 0;
}

/* Of the service those without webhooks, as it always was; of a channel that is named, all of its own. */
enum status crust_permissions_effective(struct exchange *x)
{
	pb_ListPermissionsReply reply;
	struct crust_params p;
	struct json_writer w;

	crust_params(x, &p, CRUST_QUERY);
	const char *resource = crust_trimmed(x->mem, crust_param(&p, "resource"));
	uint64_t channel = channel_of(resource);
	enum status st = operations(x, channel, &reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	jw_array(&w);
	for (size_t i = 0; i < reply.operations_count; i++) {
		const pb_OperationView *o = &reply.operations[i];
		bool service = strcmp(o->resource, messaging) == 0;
		if (channel != 0 ? service : !service || strncmp(o->operation, "webhook.", 8) == 0)
			continue;
		crust_effective(&w, channel != 0 ? resource : messaging, o->operation, o->allowed);
	}
	jw_array_end(&w);
	return crust_finish(x, &w);
}

/* ---- rules */

static const char *access_word(uint32_t access)
{
	switch ((enum rule_access)access) {
	case ACCESS_ALLOW:
		return "allow";
	case ACCESS_DENY:
		return "deny";
	case ACCESS_INHERIT:
		break;
	}
	return "inherit";
}

static uint32_t access_from_word(const char *word)
{
	return strcmp(word, "allow") == 0 ? ACCESS_ALLOW : strcmp(word, "deny") == 0 ? ACCESS_DENY : ACCESS_INHERIT;
}

enum status crust_rules_list(struct exchange *x)
{
	pb_RulesRequest request = {.team_id = x->team_id};
	pb_RulesReply reply;
	struct json_writer w;
	enum status st = crust_path_id(x, "role", &request.role_id);

	if (st == STATUS_OK)
		st = ASK(x, moderation, get_rules, x->team_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	jw_array(&w);
	for (size_t i = 0; i < reply.rules_count; i++) {
		const pb_PermissionRule *r = &reply.rules[i];
		crust_rule(&w, request.role_id, r->resource, r->operation, access_word(r->access));
	}
	jw_array_end(&w);
	return crust_finish(x, &w);
}

enum status crust_rules_delete(struct exchange *x)
{
	pb_RulesRequest request = {.team_id = x->team_id};
	pb_Empty nothing;
	enum status st = crust_path_id(x, "role", &request.role_id);

	if (st == STATUS_OK)
		st = CALL(x, moderation, clear_rules, x->team_id, &request, &nothing);
	return st == STATUS_OK ? crust_ok(x) : st;
}

static const char *text_in(json_t *object, const char *name)
{
	json_t *value = json_is_object(object) ? crust_member_of(object, name) : NULL;

	return json_is_string(value) ? json_string_value(value) : "";
}

enum status crust_rules_update(struct exchange *x)
{
	pb_RulesRequest request = {.team_id = x->team_id};
	struct crust_params p;
	pb_Empty nothing;
	enum status st = crust_path_id(x, "role", &request.role_id);

	if (st != STATUS_OK)
		return st;
	crust_params(x, &p, CRUST_BODY);
	json_t *rules = crust_param_json(&p, "rules");
	st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	if (rules != NULL && !json_is_array(rules))
		return exchange_fail(x, STATUS_MALFORMED, NULL, NULL, "rules must be a list");
	size_t count = json_array_size(rules);
	request.rules = ARENA_ARRAY(x->mem, count, pb_PermissionRule);
	for (size_t i = 0; i < count; i++) {
		json_t *rule = json_array_get(rules, i);
		request.rules[request.rules_count++] = (pb_PermissionRule){
			.resource = (char *)text_in(rule, "resource"),
			.operation = (char *)text_in(rule, "operation"),
			.access = access_from_word(text_in(rule, "access")),
		};
	}
	st = CALL(x, moderation, set_rules, x->team_id, &request, &nothing);
	return st == STATUS_OK ? crust_ok(x) : st;
}

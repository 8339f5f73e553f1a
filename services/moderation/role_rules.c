#include "services/moderation/role_rules.h"

/* The role as crust numbers roles: 1 is the base role, 2 the oldest administrator role. */
enum { ROLE_EVERYONE = 1, ROLE_ADMINS = 2 };

static enum status read_rows(const struct rule_reader *r, const struct db_stmt *stmt, const struct db_params *p, struct db_rows *out)
{
	return r->conn != NULL ? db_query(r->conn, r->mem, stmt, p, out) : change_query(r->change, stmt, p, out);
}

static const struct db_stmt role_stmt = {"moderation_rules_role",
	"SELECT r.id, r.permissions_low, r.permissions_high FROM moderation.roles r WHERE r.team_id = $1"
	" AND CASE $2 WHEN 1 THEN r.is_base WHEN 2 THEN NOT r.is_base AND r.permissions_low & 1 = 1 ELSE r.id = $2 END"
	" ORDER BY r.id LIMIT 1"};

enum status rules_role(const struct rule_reader *r, uint64_t team_id, uint64_t asked, struct rule_scene *s)
{
	struct db_params p;
	struct db_rows rows = {0};

	_Static_assert(ROLE_EVERYONE == 1 && ROLE_ADMINS == 2 && PERMISSION_administrator == 0, "as the statement has them");
	db_params_begin(&p, r->mem);
	db_put_id(&p, team_id);
	db_put_id(&p, asked);
	enum status st = read_rows(r, &role_stmt, &p, &rows);
	s->role_id = 0;
	if (st != STATUS_OK || rows.count == 0)
		return st;
	s->role_id = db_id(&rows, 0, 0);
	s->permissions = (struct bits){db_id(&rows, 0, 1), db_id(&rows, 0, 2)};
	return STATUS_OK;
}

static const struct db_stmt channels_stmt = {"moderation_rules_channels",
	"SELECT o.scope_id FROM moderation.overrides o WHERE o.team_id = $1 AND o.scope = 3 AND o.subject_kind = 1"
	" AND o.subject_id = $2 ORDER BY o.scope_id"};

enum status rules_channels(
	const struct rule_reader *r, uint64_t team_id, const struct rule_scene *s, uint64_t **out_ids, size_t *out_count)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, r->mem);
	db_put_id(&p, team_id);
	db_put_id(&p, s->role_id);
	enum status st = read_rows(r, &channels_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	*out_count = (size_t)rows.count;
	*out_ids = ARENA_ARRAY(r->mem, *out_count, uint64_t);
	for (size_t i = 0; i < *out_count; i++)
		(*out_ids)[i] = db_id(&rows, (int)i, 0);
	return STATUS_OK;
}

enum status rules_places(struct db_conn *conn, struct arena *mem, const struct facts *actor, bool system,
	const uint64_t *channel_ids, size_t count, int64_t now_ms, struct rule_scene *s)
{
	struct roster_query query = {.user_ids = &actor->person.id,
		.user_count = 1,
		.channels = ROSTER_LISTED,
		.channel_ids = channel_ids,
		.channel_count = count,
		.now_ms = now_ms};

	s->places = ARENA_ARRAY(mem, count + 1, struct rule_place);
	s->places[0] = (struct rule_place){.actors = eval_rights(&actor->eval, EVAL_ASK_NOTHING).bits};
	s->place_count = 1;
	if (count == 0)
		return STATUS_OK;
	enum status st = roster_load(conn, mem, &query, &s->roster);
	for (size_t i = 0; st == STATUS_OK && i < s->roster.channel_count; i++) {
		const struct roster_channel *c = &s->roster.channels[i];
		if (c->team == NULL || c->team->eval.id != actor->team.id || c->eval.deleted || c->eval.parent_id != 0)
			continue;
		struct eval_channel open = c->eval;
		struct eval_facts f = roster_facts(&s->roster, actor->person.id, c->team, c,
			roster_member(&s->roster, actor->team.id, actor->person.id));
		open.archived = false; /* rules outlive the state of the channel */
		f.channel = &open;
		struct eval_answer answer = eval_rights(&f, EVAL_ASK_NOTHING);
		if (system || answer.status == STATUS_OK)
			s->places[s->place_count++] = (struct rule_place){.channel = c, .actors = answer.bits};
	}
	return st;
}

struct rule_place *rules_place(const struct rule_scene *s, uint64_t channel_id)
{
	if (channel_id == 0)
		return &s->places[0];
	for (size_t i = 1; i < s->place_count; i++)
		if (s->places[i].channel->eval.id == channel_id)
			return &s->places[i];
	return NULL;
}

/* In the order of the statement's arrays: any team override, category override, or one of the channels. */
static const struct db_stmt standing_stmt = {"moderation_rules_standing",
	"SELECT " OVERRIDE_ARRAYS " FROM moderation.overrides o WHERE o.team_id = $1"
	" AND (o.scope <> 3 OR o.scope_id = ANY ($2::bigint[]))"};

static bool stands_in(const struct eval_override *o, const struct rule_place *p)
{
	return p->channel == NULL ? o->scope == OVERRIDE_TEAM
				  : o->scope == OVERRIDE_CHANNEL && o->scope_id == p->channel->eval.id;
}

enum status rules_sets(const struct rule_reader *r, uint64_t team_id, struct rule_scene *s)
{
	uint64_t *ids = ARENA_ARRAY(r->mem, s->place_count, uint64_t);
	struct db_params p;
	struct db_rows rows = {0};

	for (size_t i = 1; i < s->place_count; i++)
		ids[i - 1] = s->places[i].channel->eval.id;
	db_params_begin(&p, r->mem);
	db_put_id(&p, team_id);
	db_put_ids(&p, ids, s->place_count - 1);
	enum status st = read_rows(r, &standing_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	s->standing_count = overrides_from_row(&rows, 0, 0, r->mem, &s->standing);
	for (size_t i = 0; i < s->place_count; i++) {
		struct rule_place *at = &s->places[i];
		at->before = (struct rule_sets){.channel = at->channel != NULL};
		at->others = 0;
		for (size_t k = 0; k < s->standing_count; k++) {
			const struct eval_override *o = &s->standing[k];
			if (!stands_in(o, at))
				continue;
			if (o->subject_kind == OVERRIDE_OF_ROLE && o->subject_id == s->role_id) {
				at->before.allow = o->allow;
				at->before.deny = o->deny;
			} else {
				at->others++;
			}
		}
	}
	s->places[0].before.permissions = s->permissions;
	for (size_t i = 0; i < s->place_count; i++)
		s->places[i].after = s->places[i].before;
	return STATUS_OK;
}

static void add_rule(struct arena *mem, const struct rule_place *p, const struct operation *op, pb_RulesReply *out)
{
	enum rule_access access = rule_read(&p->before, op);
	char *resource = op->resource == OPERATION_SERVICE ? "messaging"
			 : p->channel == NULL             ? "messaging:channel:*"
							  : arena_printf(mem, "messaging:channel:%llu",
								    (unsigned long long)p->channel->eval.id);

	if (access != ACCESS_INHERIT)
		out->rules[out->rules_count++] =
			(pb_PermissionRule){.resource = resource, .operation = (char *)op->name, .access = access};
}

void serve_get_rules(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_RulesRequest *rq = request;
	pb_RulesReply *out = reply;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct rule_scene s = {0};
	struct db_conn *conn = NULL;
	uint64_t *ids = NULL;
	size_t count = 0;

	if (read_begin(service, call, rq->team_id, 0, PERMISSION_manage_roles, &conn, f) != STATUS_OK)
		return;
	struct rule_reader r = {.conn = conn, .mem = call->mem};
	enum status st = rules_role(&r, rq->team_id, rq->role_id, &s);
	if (st == STATUS_OK && s.role_id != 0)
		st = rules_channels(&r, rq->team_id, &s, &ids, &count);
	if (st == STATUS_OK && s.role_id != 0)
		st = rules_places(conn, call->mem, f, call->header->actor_id == 0, ids, count, f->eval.now_ms, &s);
	if (st == STATUS_OK && s.role_id != 0)
		st = rules_sets(&r, rq->team_id, &s);
	out->role_id = s.role_id;
	out->rules = ARENA_ARRAY(call->mem, s.place_count * operation_count, pb_PermissionRule);
	for (size_t i = 0; st == STATUS_OK && i < s.place_count; i++)
		for (size_t k = 0; k < operation_count; k++)
			if (s.places[i].channel == NULL || operations[k].resource == OPERATION_CHANNEL)
				add_rule(call->mem, &s.places[i], &operations[k], out);
	read_end(call, conn, st);
}

/* What the actor may of what crust knows, in the team or a channel. */
void serve_list_permissions(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListPermissionsRequest *rq = request;
	pb_ListPermissionsReply *out = reply;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_conn *conn = NULL;

	if (read_begin(service, call, rq->team_id, rq->channel_id, READ_VISIBLE, &conn, f) != STATUS_OK)
		return;
	struct bits bits = eval_rights(&f->eval, EVAL_ASK_NOTHING).bits;
	out->operations = ARENA_ARRAY(call->mem, operation_count, pb_OperationView);
	out->operations_count = (pb_size_t)operation_count;
	for (size_t i = 0; i < operation_count; i++)
		out->operations[i] = (pb_OperationView){
			.resource = operations[i].resource == OPERATION_SERVICE ? "messaging" : "messaging:channel",
			.operation = (char *)operations[i].name,
			.permission = operations[i].first,
			.allowed = bits_has(bits, operations[i].first)};
	read_end(call, conn, STATUS_OK);
}

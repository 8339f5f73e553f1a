/*
 * role_rules_set - setting rules of a role by name, or clearing all of them. One call is one commit, however many places it
 * touches: keys are told about first and once, then the role and each override have the events and audit entries that any
 * change of them has.
 */
#include "services/moderation/audiences.h"
#include "services/moderation/override_rows.h"
#include "services/moderation/role_rows.h"
#include "services/moderation/role_rules.h"
#include "services/moderation/rows.h"

#define RULES_MAX         1000 /* of one call */
#define RULE_CHANNELS_MAX 100  /* named by one call: each costs a handful of statements under the lock */

static struct override_sets override_of(const struct rule_sets *sets)
{
	return (struct override_sets){sets->allow, sets->deny};
}

static struct bits moved(const struct rule_place *p)
{
	struct bits sets = bits_or(bits_xor(p->before.allow, p->after.allow), bits_xor(p->before.deny, p->after.deny));

	return bits_or(sets, bits_xor(p->before.permissions, p->after.permissions));
}

static bool override_moves(const struct rule_place *p)
{
	return !bits_none(bits_or(bits_xor(p->before.allow, p->after.allow), bits_xor(p->before.deny, p->after.deny)));
}

/* ---- what is asked */

static enum status invalid(struct change *c, const pb_PermissionRule *rule)
{
	const char *operation = rule->operation != NULL ? rule->operation : "";
	const char *resource = rule->resource != NULL ? rule->resource : "";

	c->detail = arena_printf(c->mem, "invalid rule: '%.128s' on '%.128s'", operation, resource);
	return change_field(c, "rules");
}

/* One rule as it is meant. False: there is no such rule. */
static bool rule_meant(const pb_PermissionRule *rule, struct rule_resource *out_at, const struct operation **out_op)
{
	if (rule->resource == NULL || rule->operation == NULL || rule->access > ACCESS_DENY ||
		!operation_resource(rule->resource, out_at))
		return false;
	*out_op = operation_find(out_at->of, rule->operation);
	return *out_op != NULL;
}

/* The channels that the rules name, each once. */
static enum status channels_named(struct change *c, const pb_RulesRequest *rq, uint64_t **out_ids, size_t *out_count)
{
	uint64_t *ids = ARENA_ARRAY(c->mem, RULE_CHANNELS_MAX, uint64_t);
	const struct operation *op;
	struct rule_resource at;
	size_t count = 0;

	if (rq->rules_count > RULES_MAX)
		return change_field(c, "rules");
	for (size_t i = 0; i < rq->rules_count; i++) {
		size_t k = 0;
		if (!rule_meant(&rq->rules[i], &at, &op))
			return invalid(c, &rq->rules[i]);
		if (at.channel_id == 0)
			continue;
		while (k < count && ids[k] != at.channel_id)
			k++;
		if (k < count)
			continue;
		if (count == RULE_CHANNELS_MAX)
			return change_refuse(c, STATUS_AT_LIMIT, "channels", NULL);
		ids[count++] = at.channel_id;
	}
	*out_ids = ids;
	*out_count = count;
	return STATUS_OK;
}

static enum status channels_there(struct change *c, const pb_RulesRequest *rq, const struct rule_scene *s)
{
	const struct operation *op;
	struct rule_resource at;

	for (size_t i = 0; i < rq->rules_count; i++)
		if (!rule_meant(&rq->rules[i], &at, &op) || rules_place(s, at.channel_id) == NULL)
			return invalid(c, &rq->rules[i]);
	return STATUS_OK;
}

static enum status prepare_rules(struct change *c)
{
	const pb_RulesRequest *rq = c->request;
	struct rule_scene *s = c->data;
	struct rule_reader r = {.conn = c->conn, .mem = c->mem};
	uint64_t *ids = NULL;
	size_t count = 0;

	enum status st = s->clears ? STATUS_OK : channels_named(c, rq, &ids, &count);
	if (st == STATUS_OK)
		st = change_load(c, rq->team_id, 0, NULL, 0);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_manage_roles);
	/* Read after the epochs: what changed in between makes the commit stale. */
	if (st == STATUS_OK)
		st = db_begin_snapshot(c->conn);
	if (st == STATUS_OK)
		st = rules_role(&r, rq->team_id, rq->role_id, s);
	if (st == STATUS_OK && s->role_id == 0 && !s->clears)
		return change_refuse(c, STATUS_NOT_FOUND, "role", NULL);
	if (st == STATUS_OK && s->clears)
		st = rules_channels(&r, rq->team_id, s, &ids, &count);
	if (st == STATUS_OK)
		st = rules_places(c->conn, c->mem, change_actor(c), change_by_system(c), ids, count, c->now_ms, s);
	if (st == STATUS_OK)
		st = db_commit(c->conn);
	return st == STATUS_OK ? channels_there(c, rq, s) : st;
}

/* ---- the change */

/* What is asked, put into `after` of its places. */
static void apply(const pb_RulesRequest *rq, struct rule_scene *s)
{
	const struct operation *op;
	struct rule_resource at;

	for (size_t i = 0; s->clears && i < s->place_count; i++)
		for (size_t k = 0; k < operation_count; k++)
			rule_write(&s->places[i].after, &operations[k], ACCESS_INHERIT);
	for (size_t i = 0; !s->clears && i < rq->rules_count; i++)
		if (rule_meant(&rq->rules[i], &at, &op))
			rule_write(&rules_place(s, at.channel_id)->after, op, (enum rule_access)rq->rules[i].access);
}

static enum status refused(struct change *c, const struct rule_scene *s)
{
	bool exempt = hierarchy_exempt(c);

	for (size_t i = 0; i < s->place_count; i++) {
		const struct rule_place *p = &s->places[i];
		struct override_sets before = override_of(&p->before);
		struct bits lacking = bits_minus(moved(p), p->actors);
		if (!exempt && !bits_none(lacking)) {
			enum permission first = 0;
			while (!bits_has(lacking, first))
				first++;
			c->detail = "nobody gives or takes what he does not have";
			return change_refuse(c, STATUS_FORBIDDEN, permission_name(first), NULL);
		}
		if (override_moves(p) && override_empty(&before) && p->others >= OVERRIDES_PER_PLACE_MAX)
			return change_refuse(c, STATUS_AT_LIMIT, "overrides", NULL);
	}
	return STATUS_OK;
}

/* The standing overrides with the role's as they will be. */
static size_t replaced(struct change *c, const struct rule_scene *s, struct eval_override **out)
{
	struct eval_override *list = ARENA_ARRAY(c->mem, s->standing_count + s->place_count, struct eval_override);
	size_t count = 0;

	for (size_t k = 0; k < s->standing_count; k++)
		if (s->standing[k].scope == OVERRIDE_CATEGORY || s->standing[k].subject_kind != OVERRIDE_OF_ROLE ||
			s->standing[k].subject_id != s->role_id)
			list[count++] = s->standing[k];
	for (size_t i = 0; i < s->place_count; i++) {
		const struct rule_place *p = &s->places[i];
		struct override_sets after = override_of(&p->after);
		if (!override_empty(&after))
			list[count++] = (struct eval_override){
				.scope = p->channel != NULL ? OVERRIDE_CHANNEL : OVERRIDE_TEAM,
				.subject_kind = OVERRIDE_OF_ROLE,
				.scope_id = p->channel != NULL ? p->channel->eval.id : change_actor(c)->team.id,
				.subject_id = s->role_id,
				.allow = after.allow,
				.deny = after.deny};
	}
	*out = list;
	return count;
}

/* Notes which of the channels will have a key of their own. True: one of them gets or loses it. */
static bool channels_flip(struct change *c, struct rule_scene *s)
{
	struct eval_override *after;
	size_t after_count = replaced(c, s, &after);
	bool flips = false;

	for (size_t i = 1; i < s->place_count; i++) {
		struct rule_place *p = &s->places[i];
		const struct roster_team *t = p->channel->team;
		struct eval_role *roles = arena_memdup(c->mem, t->roles, t->role_count * sizeof *roles);
		bool before = eval_channel_restricted(
			&t->eval, roles, t->role_count, s->standing, s->standing_count, &p->channel->eval);
		for (size_t k = 0; k < t->role_count; k++)
			if (roles[k].id == s->role_id)
				roles[k].permissions = s->places[0].after.permissions;
		p->restricted =
			eval_channel_restricted(&t->eval, roles, t->role_count, after, after_count, &p->channel->eval);
		flips |= p->restricted != before;
		if (p->restricted && !before) {
			s->closed_channel_id = p->channel->eval.id;
			s->closed_count++;
		}
	}
	return flips;
}

/* The team's override may give every channel of a kind a key of its own, or take that from it: nobody looks at each. */
static bool team_flips(const struct rule_scene *s)
{
	const struct rule_place *team = &s->places[0];
	uint64_t before = team->before.allow.low | team->before.deny.low, after = team->after.allow.low | team->after.deny.low;
	uint64_t others = 0;

	for (size_t k = 0; k < s->standing_count; k++)
		if (s->standing[k].scope == OVERRIDE_TEAM &&
			(s->standing[k].subject_kind != OVERRIDE_OF_ROLE || s->standing[k].subject_id != s->role_id))
			others |= s->standing[k].allow.low | s->standing[k].deny.low;
	return (((others | before) ^ (others | after)) & eval_view_bits().low) != 0;
}

/* Does any of it decide a key? */
static bool keys_move(const struct rule_scene *s)
{
	bool decides = !bits_none(bits_and(moved(&s->places[0]), audiences_bits()));

	for (size_t i = 1; i < s->place_count && !decides; i++)
		decides = bits_has(moved(&s->places[i]), channel_kind_view(s->places[i].channel->eval.kind));
	return decides;
}

static enum status audience_first(struct change *c, struct rule_scene *s, bool base)
{
	const struct facts *f = change_actor(c);
	bool team = team_flips(s), flips = channels_flip(c, s) | team;
	bool views = base && !bits_none(bits_and(moved(&s->places[0]), eval_view_bits()));
	uint64_t seq = 0;

	if (!flips && !keys_move(s))
		return STATUS_OK;
	bool all = flips || base;
	bool kinds = team || views || s->closed_count > 1;
	enum status st = all ? change_recheck_all(c, f->stream, kinds ? 0 : s->closed_channel_id, kinds, "rules", &seq)
			     : change_recheck(c, f->stream, s->role_id, 0, "rules", &seq);
	if (st != STATUS_OK)
		return st;
	return all ? rows_team_rights_seq(c, f->team.id, seq) : role_keys_moved(c, s->role_id, seq);
}

static struct override_moved as_moved(const struct change *c, const struct rule_scene *s, const struct rule_place *p)
{
	return (struct override_moved){.scope = p->channel != NULL ? OVERRIDE_CHANNEL : OVERRIDE_TEAM,
		.subject_kind = OVERRIDE_OF_ROLE,
		.scope_id = p->channel != NULL ? p->channel->eval.id : change_actor(c)->team.id,
		.subject_id = s->role_id,
		.before = override_of(&p->before),
		.after = override_of(&p->after),
		.channel = p->channel != NULL ? &p->channel->view : NULL,
		.restricted = p->restricted};
}

static enum status write_all(struct change *c, const struct rule_scene *s, const pb_RoleView *role, bool role_moves)
{
	enum status st = role_moves ? role_write(c, role, 0) : STATUS_OK;

	for (size_t i = 0; st == STATUS_OK && i < s->place_count; i++) {
		const struct override_moved m = as_moved(c, s, &s->places[i]);
		if (override_moves(&s->places[i]))
			st = override_write(c, &m);
	}
	return st;
}

static enum status tell_all(struct change *c, const struct rule_scene *s, const struct hierarchy *h, const pb_RoleView *was,
	const pb_RoleView *role, bool role_moves)
{
	static char *const changed[] = {"permissions"};
	enum status st = STATUS_OK;

	if (role_moves)
		st = role_tell(c, EVENT_KIND_role_updated, h, role, (char **)changed, 1);
	for (size_t i = 0; st == STATUS_OK && i < s->place_count; i++) {
		const struct override_moved m = as_moved(c, s, &s->places[i]);
		if (override_moves(&s->places[i]))
			st = override_tell(c, &m);
	}
	if (st == STATUS_OK && role_moves)
		st = role_record_update(c, was, role);
	for (size_t i = 0; st == STATUS_OK && i < s->place_count; i++) {
		const struct override_moved m = as_moved(c, s, &s->places[i]);
		if (override_moves(&s->places[i]))
			st = override_record(c, &m);
	}
	return st;
}

static enum status work_rules(struct change *c, struct log_tx *tx)
{
	const pb_RulesRequest *rq = c->request;
	struct rule_scene *s = c->data;
	struct rule_reader r = {.change = c, .mem = c->mem};
	struct hierarchy h;
	bool moves = false;

	if (s->role_id == 0)
		return STATUS_OK; /* nothing to clear */
	enum status st = hierarchy_load(c, rq->team_id, &h);
	if (st != STATUS_OK)
		return st;
	pb_RoleView *role = hierarchy_find(&h, s->role_id);
	if (role == NULL)
		return change_refuse(c, STATUS_NOT_FOUND, "role", NULL);
	s->permissions = (struct bits){role->permissions.low, role->permissions.high};
	st = rules_sets(&r, rq->team_id, s);
	if (st != STATUS_OK)
		return st;
	apply(rq, s);
	for (size_t i = 0; i < s->place_count; i++)
		moves |= !bits_none(moved(&s->places[i]));
	if (!moves)
		return STATUS_OK;
	st = hierarchy_above(c, &h, role);
	if (st == STATUS_OK)
		st = refused(c, s);
	if (st == STATUS_OK)
		st = audience_first(c, s, role->is_base);
	if (st != STATUS_OK)
		return st;
	const pb_RoleView was = *role;
	struct bits after = s->places[0].after.permissions;
	bool role_moves = !bits_none(bits_xor(s->permissions, after));
	role->permissions = (pb_Bits){after.low, after.high};
	st = write_all(c, s, role, role_moves);
	if (st != STATUS_OK)
		return st;
	log_tx_raise_epoch(tx, change_actor(c)->stream);
	return tell_all(c, s, &h, &was, role, role_moves);
}

static void serve(struct moderation *service, struct rpc_call *call, const void *request, void *reply, bool clears)
{
	struct rule_scene scene = {.clears = clears};
	struct change c = {.service = service,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare_rules,
		.work = work_rules,
		.data = &scene};

	change_run(&c);
}

void serve_set_rules(void *service, struct rpc_call *call, const void *request, void *reply)
{
	serve(service, call, request, reply, false);
}

void serve_clear_rules(void *service, struct rpc_call *call, const void *request, void *reply)
{
	serve(service, call, request, reply, true);
}

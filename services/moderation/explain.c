/*
 * explain - what a person may do at a place, and for every permission the rule that decided. Of oneself whoever sees the
 * place may ask; of others who manages roles or overrides or moderates members.
 */
#include "services/moderation/change.h"

static const enum permission others[] = {
	PERMISSION_manage_roles, PERMISSION_manage_overrides, PERMISSION_moderate_members};

/* STATUS_OK, or the refusal with the first of the permissions named. */
static enum status may_ask(const struct facts *f)
{
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (eval_need(&f->eval, others[i], NULL) == STATUS_OK)
			return STATUS_OK;
	return eval_need(&f->eval, others[0], NULL);
}

/* Which of his roles gives it: the highest that does. 0: none. */
static uint64_t giving_role(const struct eval_facts *f, enum permission permission)
{
	const struct eval_role *giver = NULL;

	for (size_t i = 0; i < f->role_count; i++) {
		const struct eval_role *role = &f->roles[i];
		if (bits_has(role->permissions, permission) && (giver == NULL || role->position > giver->position))
			giver = role;
	}
	return giver != NULL ? giver->id : 0;
}

/* Evaluation names the subject of overrides; for roles it is added here, where people ask for it. */
static uint64_t subject_of(const struct eval_facts *f, const struct eval_answer *answer, enum permission permission)
{
	if (answer->rule == RULE_ADMINISTRATOR)
		return giving_role(f, PERMISSION_administrator);
	if (answer->rule == RULE_ROLE && answer->status == STATUS_OK && bits_has(answer->bits, permission))
		return giving_role(f, permission);
	return answer->rule_subject;
}

static void fill_rules(const struct eval_facts *f, struct arena *mem, pb_ExplainReply *out)
{
	static const enum permission all[] = {
#define PERMISSION(n, name, base) PERMISSION_##name,
#include "common/events/permissions.tbl.h"
#undef PERMISSION
	};
	size_t count = sizeof all / sizeof *all;

	out->rules = ARENA_ARRAY(mem, count, pb_ExplainedPermission);
	out->rules_count = (pb_size_t)count;
	for (size_t i = 0; i < count; i++) {
		struct eval_answer answer = eval_rights(f, (int)all[i]);
		out->rules[i] = (pb_ExplainedPermission){.permission = all[i],
			.allowed = answer.status == STATUS_OK && bits_has(answer.bits, all[i]),
			.rule = (char *)eval_rule_word(answer.rule),
			.subject_id = subject_of(f, &answer, all[i])};
	}
}

void serve_explain(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ExplainRequest *rq = request;
	pb_ExplainReply *out = reply;
	struct facts *f = ARENA_ARRAY(call->mem, 2, struct facts);
	uint64_t user = rq->user_id != 0 ? rq->user_id : call->header->actor_id;
	bool other = user != call->header->actor_id;
	struct db_conn *conn = NULL;
	char why[EVAL_WHY_SIZE];

	if (read_begin(service, call, rq->team_id, rq->channel_id, READ_VISIBLE, &conn, &f[0]) != STATUS_OK)
		return;
	if (other && call->header->actor_id != 0) {
		enum status st = may_ask(&f[0]);
		if (st != STATUS_OK) {
			db_release(conn);
			rpc_fail(call, st, st == STATUS_FORBIDDEN ? permission_name(others[0]) : NULL, NULL, NULL);
			return;
		}
	}
	struct facts_query query = {.actor_id = call->header->actor_id,
		.team_id = rq->team_id,
		.channel_id = rq->channel_id,
		.user_ids = &user,
		.user_count = 1,
		.now_ms = f[0].eval.now_ms};
	enum status st = facts_load(conn, call->mem, &query, &f[1]);
	if (st == STATUS_OK && (!f[1].found || !f[1].account))
		st = STATUS_NOT_FOUND;
	if (st == STATUS_OK) {
		struct eval_answer answer = eval_rights(&f[1].eval, EVAL_ASK_NOTHING);
		out->has_permissions = true;
		if (answer.status == STATUS_OK)
			out->permissions = (pb_Bits){answer.bits.low, answer.bits.high};
		if (answer.rule != RULE_NONE) {
			eval_why(&answer, why);
			out->why = arena_strdup(call->mem, why);
		}
		if (rq->rules)
			fill_rules(&f[1].eval, call->mem, out);
	}
	read_end(call, conn, st);
}

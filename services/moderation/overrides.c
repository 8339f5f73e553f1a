/*
 * overrides - what a role or a person is allowed or denied beyond the roles, in the whole team, a category or a channel. An
 * override of a role is wide; one of a person raises that person's epoch. One that touches a view permission decides keys:
 * it may give the channels of that kind a key of their own or take that from them, which everybody's gateways have to know
 * first; otherwise it concerns who has the role, or the person.
 */
#include "services/moderation/audiences.h"
#include "services/moderation/change.h"
#include "services/moderation/override_rows.h"
#include "services/moderation/role_rows.h"
#include "services/moderation/rows.h"

/* One call; removing is setting nothing. */
struct override_change {
	struct override_sets asked;
	bool removes;
};

static struct bits bits_of(bool has, const pb_Bits *bits)
{
	return has ? (struct bits){bits->low, bits->high} : (struct bits){0};
}

/* ---- places */

static bool of_channel(const pb_OverrideRequest *rq)
{
	return rq->scope == OVERRIDE_CHANNEL;
}

static enum status request_check(struct change *c, const pb_OverrideRequest *rq, const struct override_change *oc)
{
	if (override_scope_word(rq->scope) == NULL)
		return change_field(c, "scope");
	if (rq->subject_kind != OVERRIDE_OF_ROLE && rq->subject_kind != OVERRIDE_OF_USER)
		return change_field(c, "subject_kind");
	struct bits mask = eval_scope_mask((enum override_scope)rq->scope);
	if (!bits_none(bits_minus(oc->asked.allow, mask)))
		return change_field(c, "allow");
	if (!bits_none(bits_minus(oc->asked.deny, mask)) || !bits_none(bits_and(oc->asked.allow, oc->asked.deny)))
		return change_field(c, "deny");
	return STATUS_OK;
}

/* Who may: manage_overrides and manage_roles, or the owner of the channel. */
static enum status may_change(struct change *c, const pb_OverrideRequest *rq)
{
	const struct facts *f = change_actor(c);

	enum status st = change_visible(c);
	if (st != STATUS_OK)
		return st;
	if (of_channel(rq)) {
		if (f->channel.deleted)
			return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
		if (f->eval.team == NULL)
			return change_refuse(c, STATUS_FORBIDDEN, "conversation", NULL);
		if (f->eval.parent != NULL) /* judged as its parent */
			return change_refuse(c, STATUS_FORBIDDEN, "thread", NULL);
	}
	st = change_need(c, PERMISSION_manage_overrides);
	if (st != STATUS_OK || change_by_system(c))
		return st;
	struct eval_answer answer = eval_rights(&f->eval, EVAL_ASK_NOTHING);
	if (of_channel(rq) && answer.channel_role == CHANNEL_ROLE_OWNER)
		return STATUS_OK;
	return change_need(c, PERMISSION_manage_roles);
}

static const struct db_stmt category_stmt = {"moderation_override_category",
	"SELECT 1 FROM messaging.channel_facts c WHERE c.team_id = $1 AND c.category_id = $2 AND c.deleted_at_ms IS NULL"
	" LIMIT 1"};

/* A category is known here by its channels. */
static enum status category_there(struct db_conn *conn, struct arena *mem, uint64_t team_id, uint64_t category_id)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_id(&p, team_id);
	db_put_id(&p, category_id);
	enum status st = db_query(conn, mem, &category_stmt, &p, &rows);
	return st == STATUS_OK && rows.count == 0 ? STATUS_NOT_FOUND : st;
}

static uint64_t team_asked(uint32_t scope, uint64_t scope_id, uint64_t team_id)
{
	return scope == OVERRIDE_TEAM ? scope_id : scope == OVERRIDE_CATEGORY ? team_id : 0;
}

static enum status prepare(struct change *c)
{
	const pb_OverrideRequest *rq = c->request;
	const struct override_change *oc = c->data;
	bool of_user = rq->subject_kind == OVERRIDE_OF_USER;

	enum status st = request_check(c, rq, oc);
	if (st == STATUS_OK)
		st = change_load(c, team_asked(rq->scope, rq->scope_id, rq->team_id), of_channel(rq) ? rq->scope_id : 0,
			&rq->subject_id, of_user);
	if (st == STATUS_OK)
		st = may_change(c, rq);
	if (st == STATUS_OK && rq->scope == OVERRIDE_CATEGORY) {
		st = category_there(c->conn, c->mem, rq->team_id, rq->scope_id);
		if (st == STATUS_NOT_FOUND)
			return change_refuse(c, st, NULL, NULL);
	}
	if (st == STATUS_OK && of_user && !override_empty(&oc->asked) && !change_target(c, 0)->standing.member)
		return change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	return st;
}

/* ---- rows */

static void put_key(struct db_params *p, const pb_OverrideRequest *rq)
{
	db_put_i16(p, (int16_t)rq->scope);
	db_put_id(p, rq->scope_id);
	db_put_i16(p, (int16_t)rq->subject_kind);
	db_put_id(p, rq->subject_id);
}

static const struct db_stmt role_stmt = {
	"moderation_override_role", "SELECT r.is_base FROM moderation.roles r WHERE r.id = $1 AND r.team_id = $2"};
static const struct db_stmt now_stmt = {"moderation_override_now",
	"SELECT o.allow_low, o.allow_high, o.deny_low, o.deny_high FROM moderation.overrides o"
	" WHERE o.scope = $1 AND o.scope_id = $2 AND o.subject_kind = $3 AND o.subject_id = $4"};
/* The others of the place: how many, and which view permissions they touch. */
static const struct db_stmt others_stmt = {"moderation_override_others",
	"SELECT count(*), coalesce(bit_or(o.allow_low | o.deny_low), 0) FROM moderation.overrides o"
	" WHERE o.scope = $1 AND o.scope_id = $2 AND (o.subject_kind, o.subject_id) <> ($3, $4)"};
static enum status role_there(struct change *c, const pb_OverrideRequest *rq)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, rq->subject_id);
	db_put_id(&p, change_actor(c)->team.id);
	enum status st = change_query(c, &role_stmt, &p, &rows);
	if (st == STATUS_OK && rows.count == 0)
		return change_refuse(c, STATUS_NOT_FOUND, "role", NULL);
	return st;
}

static enum status sets_now(struct change *c, const pb_OverrideRequest *rq, struct override_sets *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	*out = (struct override_sets){0};
	change_params(c, &p);
	put_key(&p, rq);
	enum status st = change_query(c, &now_stmt, &p, &rows);
	if (st == STATUS_OK && rows.count == 1)
		*out = (struct override_sets){.allow = {db_id(&rows, 0, 0), db_id(&rows, 0, 1)},
			.deny = {db_id(&rows, 0, 2), db_id(&rows, 0, 3)}};
	return st;
}

/* ---- keys */

/* One change under the lock. */
struct moving {
	const pb_OverrideRequest *rq;
	struct override_sets before, after;
	struct bits changed;
	uint64_t others_views; /* view permissions that other overrides of the place touch */
	uint64_t seq;          /* of the audience event, 0: no keys move */
	bool restricted;       /* of a channel, afterwards: it has a key of its own */
	bool flips;            /* channels get a key of their own by it, or lose it */
};

/* The place's overrides with the new one instead of the old one. */
static void replace(struct change *c, struct eval_facts *f, const struct moving *m)
{
	struct eval_override *list = ARENA_ARRAY(c->mem, f->override_count + 1, struct eval_override);
	const pb_OverrideRequest *rq = m->rq;
	size_t count = 0;

	for (size_t i = 0; i < f->override_count; i++) {
		const struct eval_override *o = &f->overrides[i];
		if (o->scope != rq->scope || o->scope_id != rq->scope_id || o->subject_kind != rq->subject_kind ||
			o->subject_id != rq->subject_id)
			list[count++] = *o;
	}
	if (!override_empty(&m->after))
		list[count++] = (struct eval_override){.scope = (uint8_t)rq->scope,
			.subject_kind = (uint8_t)rq->subject_kind,
			.scope_id = rq->scope_id,
			.subject_id = rq->subject_id,
			.allow = m->after.allow,
			.deny = m->after.deny};
	f->overrides = list;
	f->override_count = count;
}

static bool views(const struct facts *f)
{
	return f->standing.member && eval_rights(&f->eval, EVAL_ASK_NOTHING).status == STATUS_OK;
}

static const struct db_stmt standing_stmt = {"moderation_overrides_standing",
	"SELECT " OVERRIDE_ARRAYS " FROM moderation.overrides o WHERE (o.scope = 1 AND o.scope_id = $1)"
	" OR (o.scope = 2 AND o.scope_id = $2) OR (o.scope = 3 AND o.scope_id = $3)"};

static bool restricted(const struct facts *f)
{
	return eval_channel_restricted(&f->team, f->eval.roles, f->eval.role_count, f->eval.overrides, f->eval.override_count,
		&f->channel);
}

/* Exactly, for the one channel. From what stands under the lock: another person's override raises that person's epoch only, which
 * nobody compared, and decides the channel's key all the same. */
static enum status flips_channel(struct change *c, struct moving *m)
{
	struct facts *f = change_actor(c);
	struct eval_override *standing;
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, f->team.id);
	db_put_id(&p, f->channel.category_id);
	db_put_id(&p, f->channel.id);
	enum status st = change_query(c, &standing_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	f->eval.override_count = overrides_from_row(&rows, 0, 0, c->mem, &standing);
	f->eval.overrides = standing;
	bool before = restricted(f);
	replace(c, &f->eval, m);
	m->restricted = restricted(f);
	m->flips = m->restricted != before;
	return STATUS_OK;
}

/* For the channels of a team or category it is enough that a kind may flip: nobody looks at each of them. */
static void flips_wide(struct moving *m)
{
	uint64_t before = m->others_views | m->before.allow.low | m->before.deny.low;
	uint64_t after = m->others_views | m->after.allow.low | m->after.deny.low;

	m->flips = ((before ^ after) & eval_view_bits().low) != 0;
}

static enum status recheck_everybody(struct change *c, struct moving *m)
{
	const struct facts *f = change_actor(c);

	bool closes = of_channel(m->rq) && m->flips && m->restricted;
	enum status st = change_recheck_all(
		c, f->stream, closes ? f->channel.id : 0, !of_channel(m->rq) && m->flips, "override", &m->seq);
	return st == STATUS_OK ? rows_team_rights_seq(c, f->team.id, m->seq) : st;
}

static enum status recheck_role(struct change *c, struct moving *m)
{
	enum status st = change_recheck(c, change_actor(c)->stream, m->rq->subject_id, 0, "override", &m->seq);

	return st == STATUS_OK ? role_keys_moved(c, m->rq->subject_id, m->seq) : st;
}

/* In a channel it is known what the person gains or loses. */
static enum status change_person(struct change *c, struct moving *m)
{
	struct facts *f = change_target(c, 0);
	char key[AUDIENCE_SIZE];

	if (!of_channel(m->rq))
		return change_recheck(c, f->stream, 0, f->person.id, "override", &m->seq);
	bool before = views(f);
	replace(c, &f->eval, m);
	bool after = views(f);
	if (before == after)
		return STATUS_OK;
	audience_key(key, "channel", f->channel.id);
	return change_audience(c, f->stream, f->person.id, after ? key : NULL, after ? NULL : key, &m->seq);
}

static enum status audience_first(struct change *c, struct moving *m)
{
	const struct facts *f = change_actor(c);
	struct bits deciding = audiences_bits();

	if (of_channel(m->rq)) {
		enum status st = flips_channel(c, m);
		if (st != STATUS_OK)
			return st;
		deciding = bits_with((struct bits){0}, channel_kind_view(f->channel.kind));
	} else {
		flips_wide(m);
	}
	if (m->flips)
		return recheck_everybody(c, m);
	if (bits_none(bits_and(m->changed, deciding)))
		return STATUS_OK;
	if (m->rq->subject_kind == OVERRIDE_OF_USER)
		return change_person(c, m);
	return m->rq->subject_id == f->team.base_role_id ? recheck_everybody(c, m) : recheck_role(c, m);
}

/* ---- the change */

static struct override_moved moved(const struct change *c, const struct moving *m)
{
	return (struct override_moved){.scope = m->rq->scope,
		.scope_id = m->rq->scope_id,
		.subject_kind = m->rq->subject_kind,
		.subject_id = m->rq->subject_id,
		.before = m->before,
		.after = m->after,
		.channel = of_channel(m->rq) ? &change_actor(c)->channel_view : NULL,
		.restricted = m->restricted};
}

static enum status work(struct change *c, struct log_tx *tx)
{
	const struct override_change *oc = c->data;
	const struct facts *f = change_actor(c);
	struct moving m = {.rq = c->request, .after = oc->asked};
	struct db_params p;
	struct db_rows rows = {0};
	enum status st = STATUS_OK;

	if (m.rq->subject_kind == OVERRIDE_OF_ROLE && !override_empty(&m.after))
		st = role_there(c, m.rq);
	if (st == STATUS_OK)
		st = sets_now(c, m.rq, &m.before);
	if (st != STATUS_OK)
		return st;
	if (!oc->removes) {
		pb_OverrideReply *reply = c->reply;
		reply->has_override = true;
		reply->override = (pb_OverrideView){m.rq->scope, m.rq->scope_id, m.rq->subject_kind, m.rq->subject_id, true,
			{m.after.allow.low, m.after.allow.high}, true, {m.after.deny.low, m.after.deny.high}};
	}
	m.changed = bits_or(bits_xor(m.before.allow, m.after.allow), bits_xor(m.before.deny, m.after.deny));
	if (bits_none(m.changed))
		return STATUS_OK;
	st = change_grant(c, m.changed);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	put_key(&p, m.rq);
	st = change_query(c, &others_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (override_empty(&m.before) && db_i64(&rows, 0, 0) >= OVERRIDES_PER_PLACE_MAX)
		return change_refuse(c, STATUS_AT_LIMIT, "overrides", NULL);
	m.others_views = db_id(&rows, 0, 1);
	st = audience_first(c, &m);
	const struct override_moved change = moved(c, &m);
	if (st == STATUS_OK)
		st = override_write(c, &change);
	if (st != STATUS_OK)
		return st;
	if (m.flips || m.rq->subject_kind == OVERRIDE_OF_ROLE)
		log_tx_raise_epoch(tx, f->stream);
	else
		st = rows_raise(c, f->team.id, m.rq->subject_id, m.seq);
	if (st == STATUS_OK)
		st = override_tell(c, &change);
	return st == STATUS_OK ? override_record(c, &change) : st;
}

static void serve(struct moderation *service, struct rpc_call *call, const void *request, void *reply,
	struct override_change *oc)
{
	struct change c = {.service = service,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare,
		.work = work,
		.data = oc};
	change_run(&c);
}

void serve_set_override(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_OverrideRequest *rq = request;

	serve(service, call, request, reply,
		&(struct override_change){
			.asked = {bits_of(rq->has_allow, &rq->allow), bits_of(rq->has_deny, &rq->deny)}});
}

void serve_remove_override(void *service, struct rpc_call *call, const void *request, void *reply)
{
	serve(service, call, request, reply, &(struct override_change){.removes = true});
}

/* ---- reading */

static const struct db_stmt list_stmt = {"moderation_overrides",
	"SELECT o.subject_kind, o.subject_id, o.allow_low, o.allow_high, o.deny_low, o.deny_high FROM moderation.overrides o"
	" WHERE o.scope = $1 AND o.scope_id = $2 AND o.team_id = $3 AND ($4 = 0 OR (o.subject_kind = $4 AND o.subject_id = $5))"
	" ORDER BY o.subject_kind, o.subject_id"};

/* Everybody who sees the place sees its overrides. */
void serve_list_overrides(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListOverridesRequest *rq = request;
	pb_ListOverridesReply *out = reply;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};

	if (override_scope_word(rq->scope) == NULL) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "scope", NULL);
		return;
	}
	if (read_begin(service, call, team_asked(rq->scope, rq->scope_id, rq->team_id),
		    rq->scope == OVERRIDE_CHANNEL ? rq->scope_id : 0, READ_VISIBLE, &conn, f) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_i16(&p, (int16_t)rq->scope);
	db_put_id(&p, rq->scope_id);
	db_put_id(&p, f->team.id);
	db_put_i16(&p, (int16_t)rq->subject_kind);
	db_put_id(&p, rq->subject_id);
	enum status st = db_query(conn, call->mem, &list_stmt, &p, &rows);
	if (st == STATUS_OK && rq->subject_kind != 0 && rows.count == 0)
		st = STATUS_NOT_FOUND;
	if (st == STATUS_OK) {
		out->overrides = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_OverrideView);
		out->overrides_count = (pb_size_t)rows.count;
		for (int i = 0; i < rows.count; i++)
			out->overrides[i] = (pb_OverrideView){.scope = rq->scope,
				.scope_id = rq->scope_id,
				.subject_kind = (uint32_t)db_i64(&rows, i, 0),
				.subject_id = db_id(&rows, i, 1),
				.has_allow = true,
				.allow = {db_id(&rows, i, 2), db_id(&rows, i, 3)},
				.has_deny = true,
				.deny = {db_id(&rows, i, 4), db_id(&rows, i, 5)}};
	}
	read_end(call, conn, st);
}

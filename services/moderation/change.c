#include "services/moderation/change.h"

#include <assert.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "services/moderation/audiences.h"

#define CHANGE_ATTEMPTS 3
#define JOB_DEADLINE_MS 5000

enum status change_refuse(struct change *c, enum status st, const char *why, const char *field)
{
	c->why = why;
	c->field = field;
	if (c->tx != NULL)
		log_tx_refuse(c->tx, why, field, c->detail);
	return st;
}

void change_stream(struct change *c, struct stream s)
{
	for (size_t i = 0; i < c->op.stream_count; i++)
		if (stream_compare(c->op.streams[i], s) == 0)
			return;
	assert(c->op.stream_count < COMMIT_STREAMS_MAX);
	c->op.streams[c->op.stream_count++] = s;
}

/* An epoch of another generation of the log is as good as none. */
static bool session_fits(const struct rpc_call *call, uint64_t epoch, uint64_t generation)
{
	uint64_t theirs = call->header->actor_generation;

	return epoch == call->header->actor_epoch && (theirs == 0 || generation == 0 || theirs == generation);
}

/* The session of the actor is checked in the snapshot that judges, as it is under the lock. */
enum status change_session_check(const struct rpc_call *call, const struct facts *f)
{
	if (call == NULL || call->header->actor_id == 0)
		return STATUS_OK;
	return session_fits(call, f->actor_epoch, f->generation) ? STATUS_OK : STATUS_STALE;
}

/* What an envelope or a request says of somebody is newer than our table, except that erased stays erased. */
static void person_overlay(struct facts *f, const pb_UserView *known)
{
	if (known == NULL || known->id != f->person.id || f->person.erased)
		return;
	f->person = *known;
}

static bool served(const struct rpc_call *call, const struct facts *f)
{
	return call == NULL || f->eval.channel == NULL ||
	       rpc_serves(call, f->channel_view.team_id, f->channel_view.kind);
}

enum status change_load_many(
	struct change *c, uint64_t team_id, uint64_t channel_id, const uint64_t *targets, size_t target_count)
{
	uint64_t *users = ARENA_ARRAY(c->mem, target_count + 1, uint64_t);

	users[0] = change_actor_id(c);
	for (size_t i = 0; i < target_count; i++)
		users[1 + i] = targets[i];
	c->facts_count = target_count + 1;
	c->facts = ARENA_ARRAY(c->mem, c->facts_count, struct facts);
	struct facts_query query = {.actor_id = users[0],
		.team_id = team_id,
		.channel_id = channel_id,
		.user_ids = users,
		.user_count = c->facts_count,
		.now_ms = c->now_ms};
	enum status st = facts_load(c->conn, c->mem, &query, c->facts);
	if (st != STATUS_OK)
		return st;
	if (change_session_check(c->call, change_actor(c)) != STATUS_OK)
		return change_refuse(c, STATUS_STALE, "session", NULL);
	/* Not even the system writes to a deleted team: team_deleted is the last event of its stream. */
	if (!change_actor(c)->found || change_actor(c)->team.deleted || !served(c->call, change_actor(c)))
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	if (c->call != NULL && c->call->header->has_actor)
		person_overlay(change_actor(c), &c->call->header->actor);
	for (size_t i = 0; i < target_count; i++) {
		person_overlay(change_target(c, i), c->known);
		if (c->call != NULL && c->call->header->has_actor)
			person_overlay(change_target(c, i), &c->call->header->actor);
	}
	change_stream(c, change_actor(c)->stream);
	c->op.checks[c->op.check_count++] = (struct commit_check){.stream = change_actor(c)->stream,
		.stream_epoch = change_actor(c)->stream_epoch,
		.check_stream = true,
		.user_id = users[0],
		.member_epoch = change_actor(c)->member_epoch,
		.generation = change_actor(c)->generation};
	return STATUS_OK;
}

enum status change_load(
	struct change *c, uint64_t team_id, uint64_t channel_id, const uint64_t *targets, size_t target_count)
{
	enum status st = change_load_many(c, team_id, channel_id, targets, target_count);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < target_count; i++) {
		assert(c->op.check_count < sizeof c->op.checks / sizeof *c->op.checks);
		if (targets[i] == change_actor_id(c))
			continue;
		c->op.checks[c->op.check_count++] = (struct commit_check){.stream = change_actor(c)->stream,
			.user_id = targets[i],
			.member_epoch = change_target(c, i)->member_epoch,
			.generation = change_target(c, i)->generation};
	}
	return STATUS_OK;
}

static const struct db_stmt session_stmt = {
	"moderation_session", "SELECT authz_epoch FROM log.streams WHERE rank = 2 AND id = $1"};

static enum status session_load(struct db_conn *conn, const struct rpc_call *call, struct arena *mem)
{
	struct db_params p;
	struct db_rows rows = {0};

	if (call == NULL || call->header->actor_id == 0)
		return STATUS_OK;
	db_params_begin(&p, mem);
	db_put_id(&p, call->header->actor_id);
	enum status st = db_query(conn, mem, &session_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	uint64_t epoch = rows.count == 1 ? db_id(&rows, 0, 0) : 0; /* as the committer reads it */
	return session_fits(call, epoch, db_generation(conn)) ? STATUS_OK : STATUS_STALE;
}

enum status change_load_session(struct change *c)
{
	enum status st = session_load(c->conn, c->call, c->mem);
	if (st == STATUS_STALE)
		return change_refuse(c, st, "session", NULL);
	if (st != STATUS_OK)
		return st;
	c->facts = ARENA_NEW(c->mem, struct facts);
	c->facts_count = 1;
	change_actor(c)->person = (pb_UserView){.id = change_actor_id(c)};
	if (c->call != NULL && c->call->header->has_actor)
		change_actor(c)->person = c->call->header->actor;
	return STATUS_OK;
}

enum status change_need(struct change *c, enum permission permission)
{
	struct eval_answer answer;

	if (change_by_system(c))
		return STATUS_OK;
	enum status st = eval_need(&change_actor(c)->eval, permission, &answer);
	if (st == STATUS_OK)
		return STATUS_OK;
	if (st == STATUS_NOT_FOUND)
		return change_refuse(c, st, NULL, NULL); /* what hides it is not for him to know */
	eval_why(&answer, c->why_text);
	c->detail = c->why_text;
	return change_refuse(c, st, st == STATUS_FORBIDDEN ? permission_name(permission) : c->why_text, NULL);
}

enum status change_grant(struct change *c, struct bits given)
{
	if (change_by_system(c))
		return STATUS_OK;
	struct eval_answer answer = eval_rights(&change_actor(c)->eval, EVAL_ASK_NOTHING);
	struct bits lacking = bits_minus(given, answer.bits);
	if (answer.owner || (lacking.low == 0 && lacking.high == 0))
		return STATUS_OK;
	enum permission first = 0;
	while (!bits_has(lacking, first))
		first++;
	c->detail = "nobody gives or takes what he does not have";
	return change_refuse(c, STATUS_FORBIDDEN, permission_name(first), NULL);
}

enum status change_visible(struct change *c)
{
	if (change_by_system(c))
		return STATUS_OK;
	struct eval_answer answer = eval_rights(&change_actor(c)->eval, EVAL_ASK_NOTHING);
	return answer.status == STATUS_OK ? STATUS_OK : change_refuse(c, answer.status, NULL, NULL);
}

/* ---- committing */

/* Runs on the committer's thread under the locks, while the caller's thread waits in committer_run. */
static enum status work_entry(struct log_tx *tx, void *arg)
{
	struct change *c = arg;

	c->tx = tx;
	c->now_ms = log_tx_now_ms(tx);
	/* An earlier run, of a transaction that failed, has made of the facts what would have come of it. */
	memcpy(c->facts, c->prepared, c->facts_count * sizeof *c->facts);
	if (c->reply != NULL && c->call != NULL)
		memset(c->reply, 0, c->call->method->reply_size);
	enum status st = c->work(c, tx);
	if (st == STATUS_OK && c->call != NULL && c->reply != NULL && !c->rows_repeat)
		log_tx_reply(tx, c->call->method->reply, c->reply);
	c->tx = NULL;
	return st;
}

struct refusal {
	const struct change *c;
	enum status status;
};
static enum status refusal_entry(struct log_tx *tx, void *arg)
{
	const struct refusal *r = arg;
	log_tx_refuse(tx, r->c->why, r->c->field, r->c->detail);
	return r->status;
}

static void op_begin(struct change *c)
{
	memset(&c->op, 0, sizeof c->op);
	if (c->call != NULL) {
		commit_op_from_call(&c->op, c->call);
	} else {
		c->op.deadline_mono_ms = clock_mono_ms() + JOB_DEADLINE_MS;
	}
	if (c->rows_repeat) {
		c->op.request_id = NULL;
		c->op.request_id_length = 0;
	}
	c->why = c->field = c->detail = NULL;
}

/*
 * A refusal may only mean that this very request was done already (who left is no member any more), so one
 * that carries a request id is looked up like any other before it is told.
 */
static enum status refuse_unless_repeated(struct change *c, enum status refused, struct commit_result *out)
{
	struct refusal r = {.c = c, .status = refused};

	*out = (struct commit_result){
		.status = refused, .why = c->why, .field = c->field, .detail = c->detail};
	if (c->op.request_id_length == 0 || change_by_system(c))
		return refused;
	c->op.stream_count = 0;
	c->op.check_count = 0;
	change_stream(c, STREAM_USER(change_actor_id(c)));
	c->op.work = refusal_entry;
	c->op.arg = &r;
	return committer_run(c->service->committer, c->mem, &c->op, out);
}

static bool is_refusal(enum status st)
{
	return st != STATUS_BUSY && st != STATUS_INTERNAL && st != STATUS_LATE && st != STATUS_STALE;
}

enum status change_commit(struct change *c, struct commit_result *out)
{
	enum status st = STATUS_OK;

	if (c->mem == NULL)
		c->mem = c->call->mem;
	for (int attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
		op_begin(c);
		*out = (struct commit_result){0};
		c->now_ms = clock_wall_ms();
		st = db_acquire(c->service->db, c->op.deadline_mono_ms, &c->conn);
		if (st == STATUS_OK)
			st = c->prepare(c);
		db_release(c->conn);
		c->conn = NULL;
		if (st != STATUS_OK && is_refusal(st))
			return refuse_unless_repeated(c, st, out);
		if (st != STATUS_OK) {
			*out = (struct commit_result){.status = st, .why = c->why, .field = c->field};
			return st;
		}
		c->prepared = arena_memdup(c->mem, c->facts, c->facts_count * sizeof *c->facts);
		c->op.work = work_entry;
		c->op.arg = c;
		st = committer_run(c->service->committer, c->mem, &c->op, out);
		if (st != STATUS_STALE || (out->why != NULL && strcmp(out->why, "session") == 0))
			return st;
	}
	*out = (struct commit_result){.status = STATUS_BUSY, .why = "stale"};
	return STATUS_BUSY;
}

void change_run(struct change *c)
{
	struct commit_result result = {0};
	enum status st = change_commit(c, &result);

	if (result.replayed && st == STATUS_OK) {
		st = result.reply == NULL
			     ? STATUS_INTERNAL
			     : pb_decode_sized(c->mem, c->call->method->reply, c->call->method->reply_size,
				       c->reply, result.reply, result.reply_length);
		if (st == STATUS_OK)
			rpc_finish_replayed(c->call);
		else
			rpc_fail(c->call, STATUS_INTERNAL, NULL, NULL, NULL);
		return;
	}
	if (st == STATUS_OK)
		rpc_finish(c->call);
	else
		rpc_fail(c->call, st, result.why, result.field, result.detail);
}

/* ---- events */

pb_Event *change_event(struct change *c, uint32_t which)
{
	pb_Event *ev = ARENA_NEW(c->mem, pb_Event);

	ev->which_body = (pb_size_t)which;
	if (change_by_system(c))
		return ev;
	ev->has_actor = true;
	ev->actor = change_actor(c)->person;
	if (c->call->header->client_label[0] != 0)
		ev->client_label = arena_strdup(c->mem, c->call->header->client_label);
	return ev;
}

enum status change_append(
	struct change *c, struct stream s, const char *audience, pb_Event *ev, uint64_t *out_seq)
{
	uint64_t seq = 0;
	enum status st = log_tx_append(c->tx, s, audience, ev, &seq);
	if (st == STATUS_OK && out_seq != NULL)
		*out_seq = seq;
	return st;
}

enum status change_append_user(struct change *c, uint64_t user_id, pb_Event *ev)
{
	char audience[AUDIENCE_SIZE];
	audience_key(audience, "user", user_id);
	return change_append(c, STREAM_USER(user_id), audience, ev, NULL);
}

enum status change_audience(struct change *c, struct stream s, uint64_t user_id, const char *gained,
	const char *lost, uint64_t *out_seq)
{
	char *one_gained = arena_strdup(c->mem, gained), *one_lost = arena_strdup(c->mem, lost);
	struct key_changes keys = {.gained = &one_gained,
		.lost = &one_lost,
		.gained_count = gained != NULL,
		.lost_count = lost != NULL};

	return change_audience_keys(c, s, user_id, &keys, out_seq);
}

enum status change_audience_keys(struct change *c, struct stream s, uint64_t user_id, const struct key_changes *keys,
	uint64_t *out_seq)
{
	pb_Event *ev = change_event(c, EVENT_KIND_audience_changed);

	ev->body.audience_changed = (pb_AudienceChanged){.user_id = user_id,
		.gained = keys->gained,
		.gained_count = (pb_size_t)keys->gained_count,
		.lost = keys->lost,
		.lost_count = (pb_size_t)keys->lost_count};
	/* Nobody's: gateways obey it, nobody is shown it. */
	return change_append(c, s, "", ev, out_seq);
}

enum status change_recheck_all(
	struct change *c, struct stream s, uint64_t closed_channel_id, bool kinds, const char *why, uint64_t *out_seq)
{
	pb_Event *ev = change_event(c, EVENT_KIND_audience_recheck);

	ev->body.audience_recheck = (pb_AudienceRecheck){
		.all = true, .why = (char *)why, .closed_channel_id = closed_channel_id, .kinds = kinds};
	return change_append(c, s, "", ev, out_seq);
}

enum status change_recheck(struct change *c, struct stream s, uint64_t role_id, uint64_t user_id, const char *why,
	uint64_t *out_seq)
{
	pb_Event *ev = change_event(c, EVENT_KIND_audience_recheck);

	ev->body.audience_recheck = (pb_AudienceRecheck){.role_id = role_id, .why = (char *)why};
	if (user_id != 0) {
		ev->body.audience_recheck.user_ids = arena_memdup(c->mem, &user_id, sizeof user_id);
		ev->body.audience_recheck.user_ids_count = 1;
	}
	return change_append(c, s, "", ev, out_seq);
}

enum status change_query(struct change *c, const struct db_stmt *stmt, const struct db_params *params,
	struct db_rows *out_rows)
{
	return log_tx_query(c->tx, stmt, params, out_rows);
}

void change_params(struct change *c, struct db_params *out)
{
	db_params_begin(out, c->mem);
}

/* ---- reading calls */

enum status read_begin(struct moderation *service, struct rpc_call *call, uint64_t team_id,
	uint64_t channel_id, int permission, struct db_conn **out_conn, struct facts *out_facts)
{
	struct db_conn *conn = NULL;
	struct eval_answer answer = {0};
	uint64_t user = call->header->actor_id;
	struct facts_query query = {.actor_id = user,
		.team_id = team_id,
		.channel_id = channel_id,
		.user_ids = &user,
		.user_count = 1,
		.now_ms = clock_wall_ms()};
	const char *why = NULL, *detail = NULL;
	char why_text[EVAL_WHY_SIZE];

	enum status st = db_acquire(service->db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK)
		st = db_begin_snapshot(conn);
	if (st == STATUS_OK)
		st = facts_load(conn, call->mem, &query, out_facts);
	if (st != STATUS_OK)
		goto out;
	st = change_session_check(call, out_facts);
	if (st != STATUS_OK) {
		why = "session";
		goto out;
	}
	if (!out_facts->found || !served(call, out_facts)) {
		st = STATUS_NOT_FOUND;
		goto out;
	}
	if (user == 0 || permission == READ_ANY)
		goto out;
	if (permission == READ_VISIBLE) {
		st = eval_rights(&out_facts->eval, EVAL_ASK_NOTHING).status;
		goto out;
	}
	st = eval_need(&out_facts->eval, (enum permission)permission, &answer);
	if (st != STATUS_OK && st != STATUS_NOT_FOUND) {
		eval_why(&answer, why_text);
		detail = why_text;
		why = st == STATUS_FORBIDDEN ? permission_name((enum permission)permission) : why_text;
	}
out:
	if (st != STATUS_OK) {
		db_release(conn);
		rpc_fail(call, st, why, NULL, detail);
		return st;
	}
	*out_conn = conn;
	return STATUS_OK;
}

enum status read_begin_session(struct moderation *service, struct rpc_call *call, struct db_conn **out_conn)
{
	struct db_conn *conn = NULL;

	enum status st = db_acquire(service->db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK)
		st = db_begin_snapshot(conn);
	if (st == STATUS_OK)
		st = session_load(conn, call, call->mem);
	if (st != STATUS_OK) {
		db_release(conn);
		rpc_fail(call, st, st == STATUS_STALE ? "session" : NULL, NULL, NULL);
		return st;
	}
	*out_conn = conn;
	return STATUS_OK;
}

void read_end(struct rpc_call *call, struct db_conn *conn, enum status st)
{
	if (st == STATUS_OK)
		st = db_commit(conn);
	db_release(conn);
	if (st == STATUS_OK)
		rpc_finish(call);
	else
		rpc_fail(call, st, NULL, NULL, NULL);
}

enum status list_limit(uint32_t asked, uint32_t max, uint32_t *out_limit)
{
	if (asked > max)
		return STATUS_FIELD_INVALID;
	*out_limit = asked == 0 ? LIST_DEFAULT : asked;
	return STATUS_OK;
}

bool text_within(const char *text, size_t least, size_t most)
{
	size_t length = text == NULL ? 0 : strlen(text);
	if (!text_is_utf8(text == NULL ? "" : text, length))
		return false;
	size_t points = text_code_points(text == NULL ? "" : text, length);
	return points >= least && points <= most;
}

/*
 * seed - the members of a channel that was just created or copied: a second owner's half of "channel with members". Commits of at
 * most 14 people each (a commit has at most 16 streams). A repeat goes on where the first stopped: rows that are there
 * are left alone, so nothing is kept under the request id, which belongs to create_channel.
 */
#include <string.h>

#include "services/moderation/channel_members.h"
#include "services/moderation/rows.h"

#define SEED_CHUNK 14

/* Who is in the channel that this one copies. */
struct copied {
	size_t count;
	uint64_t *ids;
	uint32_t *roles;
};

struct seeding {
	const pb_UserView *const *users; /* of this chunk; [i] is target i */
	uint64_t ids[SEED_CHUNK];
	size_t count;
	const struct copied *copied; /* the members of the original, or NULL */
	bool wanted[SEED_CHUNK];
};

/* What he becomes; nobody who is not a member, is banned, is there already or was there: a repeat does not bring back who
 * left or was kicked since. */
static uint32_t role_for(const struct facts *f, const struct copied *copied)
{
	if (!f->standing.member || f->standing.banned || f->place.banned || f->place.known || f->person.erased)
		return CHANNEL_ROLE_NONE;
	if (f->channel.created_by == f->person.id)
		return f->channel.own ? CHANNEL_ROLE_OWNER : CHANNEL_ROLE_NONE;
	for (size_t i = 0; copied != NULL && i < copied->count; i++)
		if (copied->ids[i] == f->person.id)
			return copied->roles[i];
	return CHANNEL_ROLE_MEMBER;
}

static enum status prepare_seed(struct change *c)
{
	const pb_SeedChannelRequest *rq = c->request;
	struct seeding *seed = c->data;

	enum status st = change_load_many(c, 0, rq->channel_id, seed->ids, seed->count);
	if (st == STATUS_OK)
		st = change_visible(c);
	if (st == STATUS_OK)
		st = channel_place_refused(c);
	if (st != STATUS_OK)
		return st;
	if (!change_by_system(c) && change_actor(c)->channel.created_by != change_actor_id(c))
		return change_refuse(c, STATUS_FORBIDDEN, "creator", NULL);
	st = change_need(c, PERMISSION_manage_channel_members);
	for (size_t i = 0; i < seed->count && st == STATUS_OK; i++) {
		struct facts *f = change_target(c, i);
		if (!f->person.erased && seed->users[i] != NULL && seed->users[i]->username != NULL)
			f->person = *seed->users[i];
		seed->wanted[i] = role_for(f, seed->copied) != CHANNEL_ROLE_NONE;
		if (seed->wanted[i])
			change_stream(c, STREAM_USER(f->person.id));
	}
	return st;
}

static enum status work_seed(struct change *c, struct log_tx *tx)
{
	const struct seeding *seed = c->data;
	uint32_t roles[SEED_CHUNK] = {0};

	enum status st = rows_epochs_hold(c, seed->count);
	for (size_t i = 0; i < seed->count && st == STATUS_OK; i++) {
		struct facts *f = change_target(c, i);
		uint64_t seq = 0;
		if (!seed->wanted[i])
			continue;
		roles[i] = role_for(f, seed->copied);
		st = channel_place_change(c, f, roles[i], &seq); /* all audience events before the first other one */
		if (st == STATUS_OK)
			st = rows_channel_join(c, f, f->person.id, roles[i]);
		if (st == STATUS_OK)
			st = rows_raise(c, f->team.id, f->person.id, seq);
		if (st == STATUS_OK)
			st = rows_put_person(c, &f->person);
	}
	for (size_t i = 0; i < seed->count && st == STATUS_OK; i++)
		if (seed->wanted[i])
			st = channel_tell_joined(c, change_target(c, i), roles[i], false, true);
	return st;
}

static bool listed(const pb_UserView *const *users, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++)
		if (users[i]->id == id)
			return true;
	return false;
}

static const struct db_stmt copied_stmt = {"moderation_seed_copied",
	"SELECT user_id, role FROM moderation.channel_members WHERE channel_id = $1 AND left_at_ms IS NULL ORDER BY user_id"};

/* Of a private channel, that the actor sees; an open one has nobody who would not come by himself. Anything but STATUS_OK is
 * answered. */
static enum status copied_load(struct moderation *service, struct rpc_call *call, uint64_t channel_id, struct copied *out)
{
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};

	if (read_begin(service, call, 0, channel_id, READ_VISIBLE, &conn, f) != STATUS_OK)
		return STATUS_FORBIDDEN;
	enum status st = STATUS_OK;
	if (f->channel.private) {
		db_params_begin(&p, call->mem);
		db_put_id(&p, channel_id);
		st = db_query(conn, call->mem, &copied_stmt, &p, &rows);
	}
	if (st == STATUS_OK) {
		out->count = (size_t)rows.count;
		out->ids = ARENA_ARRAY(call->mem, out->count, uint64_t);
		out->roles = ARENA_ARRAY(call->mem, out->count, uint32_t);
		for (size_t i = 0; i < out->count; i++) {
			out->ids[i] = db_id(&rows, (int)i, 0);
			out->roles[i] = (uint32_t)db_id(&rows, (int)i, 1);
		}
	}
	if (st == STATUS_OK)
		st = db_commit(conn);
	db_release(conn);
	if (st != STATUS_OK)
		rpc_fail(call, st, NULL, NULL, NULL);
	return st;
}

void serve_seed_channel(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_SeedChannelRequest *rq = request;
	struct copied copied = {0};
	size_t count = 0;

	if (rq->users_count > SEED_MAX) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "users", NULL);
		return;
	}
	if (rq->from_channel_id != 0 && copied_load(service, call, rq->from_channel_id, &copied) != STATUS_OK)
		return;
	const pb_UserView **users =
		ARENA_ARRAY(call->mem, (size_t)rq->users_count + copied.count + 1, const pb_UserView *);
	/* The creator comes first, whether he named himself or not; the system names whom it seeds. */
	if (call->header->actor_id != 0) {
		pb_UserView *creator = ARENA_NEW(call->mem, pb_UserView);
		if (call->header->has_actor)
			*creator = call->header->actor;
		creator->id = call->header->actor_id;
		users[count++] = creator;
	}
	for (size_t i = 0; i < rq->users_count; i++)
		if (rq->users[i].id != 0 && !listed(users, count, rq->users[i].id))
			users[count++] = &rq->users[i];
	pb_UserView *views = ARENA_ARRAY(call->mem, copied.count, pb_UserView);
	size_t named = count;
	for (size_t i = 0; i < copied.count; i++) {
		views[i] = (pb_UserView){.id = copied.ids[i]};
		if (!listed(users, named, copied.ids[i]))
			users[count++] = &views[i];
	}
	for (size_t from = 0; from < count; from += SEED_CHUNK) {
		struct commit_result result;
		struct seeding seed = {.users = users + from,
			.copied = rq->from_channel_id != 0 ? &copied : NULL,
			.count = count - from < SEED_CHUNK ? count - from : SEED_CHUNK};
		for (size_t i = 0; i < seed.count; i++)
			seed.ids[i] = seed.users[i]->id;
		struct change c = {.service = service,
			.call = call,
			.request = request,
			.reply = reply,
			.prepare = prepare_seed,
			.work = work_seed,
			.data = &seed,
			.rows_repeat = true};
		enum status st = change_commit(&c, &result);
		if (st != STATUS_OK) {
			rpc_fail(call, st, result.why, result.field, result.detail);
			return;
		}
	}
	rpc_finish(call);
}

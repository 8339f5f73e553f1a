#include "services/presence/status.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"

#define JOB_DEADLINE_MS 5000

/* Why a status is written; every kind looks at the row again under the lock. */
enum change { CHANGE_BY_CALL, CHANGE_EXPIRED, CHANGE_ACTIVE, CHANGE_COPIES };

struct status_write {
	enum change change;
	uint64_t user_id;
	struct person_status status;     /* CHANGE_BY_CALL */
	const pb_UserView *actor;        /* CHANGE_BY_CALL; NULL otherwise: the system */
	const uint8_t *view;             /* encoded; NULL: the row's */
	size_t view_length;
	const uint64_t *team_ids;        /* all that are to be told */
	size_t team_count;
	size_t at_once;                  /* the first of them, whose streams the op holds */
	const char *client_label;
};

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t *status_team_ids(struct arena *mem, const uint64_t *ids, size_t count, size_t *out_count)
{
	uint64_t *out = ARENA_ARRAY(mem, count, uint64_t);
	size_t kept = 0, given = 0;

	for (size_t i = 0; i < count; i++)
		if (ids[i] != 0)
			out[given++] = ids[i];
	if (given > 0)
		qsort(out, given, sizeof *out, compare_ids);
	for (size_t i = 0; i < given; i++)
		if (kept == 0 || out[kept - 1] != out[i])
			out[kept++] = out[i];
	*out_count = kept;
	return out;
}

static bool too_long(const char *text, size_t most)
{
	return text != NULL && text_code_points(text, strlen(text)) > most;
}

static bool is_text(const char *text)
{
	return text == NULL || text_is_utf8(text, strlen(text));
}

enum status status_validate(const struct person_status *status, int64_t now_wall_ms, const char **out_field,
	const char **out_detail)
{
	if (!is_text(status->text) || too_long(status->text, CUSTOM_STATUS_TEXT)) {
		*out_field = "message";
		*out_detail = "at most 128 characters";
		return STATUS_FIELD_INVALID;
	}
	if (!is_text(status->emoji) || too_long(status->emoji, CUSTOM_STATUS_EMOJI)) {
		*out_field = "emoji";
		*out_detail = "at most 64 characters";
		return STATUS_FIELD_INVALID;
	}
	if (!person_status_set(status)) {
		*out_field = "message";
		*out_detail = "a status has a message or an emoji";
		return STATUS_FIELD_INVALID;
	}
	if (status->expires_at_ms < 0 || (status->expires_at_ms != 0 && status->expires_at_ms <= now_wall_ms)) {
		*out_field = "expires_at";
		*out_detail = "lies in the past";
		return STATUS_FIELD_INVALID;
	}
	return STATUS_OK;
}

static bool has_id(const uint64_t *ids, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* The ids of both lists that are not in `without`. */
static uint64_t *ids_join(struct arena *mem, const uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count,
	const uint64_t *without, size_t without_count, size_t *out_count)
{
	uint64_t *all = ARENA_ARRAY(mem, a_count + b_count, uint64_t);
	size_t count = 0, kept = 0;
	uint64_t *out;

	if (a_count > 0)
		memcpy(all, a, a_count * sizeof *all);
	if (b_count > 0)
		memcpy(all + a_count, b, b_count * sizeof *all);
	out = status_team_ids(mem, all, a_count + b_count, &count);
	for (size_t i = 0; i < count; i++)
		if (!has_id(without, without_count, out[i]))
			out[kept++] = out[i];
	*out_count = kept;
	return out;
}

static enum status event_begin(struct arena *mem, const struct status_write *w, const struct person_locked *row,
	const struct person_status *status, pb_Event *event)
{
	pb_UserView *user = &event->body.status_changed.user;
	const uint8_t *view = w->view != NULL ? w->view : row->view;
	size_t length = w->view != NULL ? w->view_length : row->view_length;
	enum status st = STATUS_OK;

	*event = (pb_Event)pb_Event_init_zero;
	event->which_body = EVENT_KIND_status_changed;
	if (w->actor != NULL) {
		event->has_actor = true;
		event->actor = *w->actor;
	}
	event->client_label = (char *)w->client_label;
	event->body.status_changed.has_user = true;
	if (view != NULL)
		st = pb_decode_arena(mem, pb_UserView_fields, user, view, length);
	user->id = w->user_id;
	user->has_status = person_status_set(status);
	if (user->has_status) {
		user->status = (pb_StatusView){
			.text = (char *)status->text,
			.emoji = (char *)status->emoji,
			.expires_at_ms = (uint64_t)status->expires_at_ms,
		};
	}
	return st;
}

/* To those of the teams in which the person is a member now: between the list and the lock a ban may have been committed, and
 * nothing of somebody banned enters the team's log after it, not even the end of a status. */
static enum status append_to_teams(struct log_tx *tx, uint64_t user_id, const uint64_t *asked_ids, size_t asked_count,
	pb_Event *event)
{
	char audience[AUDIENCE_SIZE];
	uint64_t seq = 0, *team_ids = NULL;
	size_t count = 0;
	enum status st = log_tx_member_teams(tx, user_id, asked_ids, asked_count, &team_ids, &count);

	for (size_t i = 0; i < count && st == STATUS_OK; i++) {
		audience_key(audience, "team", team_ids[i]);
		st = log_tx_append(tx, STREAM_TEAM(team_ids[i]), audience, event, &seq);
	}
	return st;
}

/* Whether the row, as it is under the lock, still asks for this change. */
static bool still_due(const struct status_write *w, const struct person_locked *row, int64_t now_ms)
{
	bool set = row->exists && person_status_set(&row->status);

	switch (w->change) {
	case CHANGE_BY_CALL:
		return set || person_status_set(&w->status); /* clearing nothing changes nothing */
	case CHANGE_EXPIRED:
		return set && row->status.expires_at_ms != 0 && row->status.expires_at_ms <= now_ms;
	case CHANGE_ACTIVE:
		return set && row->status.clear_when_active;
	case CHANGE_COPIES:
		return row->exists && row->pending_count > 0;
	}
	return false;
}

/* Runs on the committer's thread. */
static enum status write_status(struct log_tx *tx, void *arg)
{
	const struct status_write *w = arg;
	struct arena *mem = log_tx_mem(tx);
	const struct person_status none = {0};
	const struct person_status *status = w->change == CHANGE_BY_CALL ? &w->status : &none;
	struct person_locked row;
	struct person_write out = {.user_id = w->user_id, .status = *status};
	char audience[AUDIENCE_SIZE];
	pb_Event event;
	uint64_t seq = 0;
	size_t told_count = 0;
	uint64_t *told;
	enum status st = people_lock(tx, w->user_id, &row);

	if (st != STATUS_OK || !still_due(w, &row, log_tx_now_ms(tx)))
		return st;
	st = event_begin(mem, w, &row, status, &event);
	if (st != STATUS_OK)
		return st;
	audience_key(audience, "user", w->user_id);
	st = log_tx_append(tx, STREAM_USER(w->user_id), audience, &event, &seq);
	if (st == STATUS_OK)
		st = append_to_teams(tx, w->user_id, w->team_ids, w->at_once, &event);
	if (st != STATUS_OK)
		return st;
	/* Whoever was told of the status before is told of its end, if the person is still a member. */
	told = ids_join(mem, w->team_ids, w->team_count, row.team_ids, row.team_count, NULL, 0, &told_count);
	out.pending = ids_join(mem, told, told_count, row.pending, row.pending_count, w->team_ids, w->at_once,
		&out.pending_count);
	if (person_status_set(status)) {
		out.team_ids = w->team_ids;
		out.team_count = w->team_count;
	}
	out.event_id = event.event_id;
	out.view = w->view != NULL ? w->view : row.view;
	out.view_length = w->view != NULL ? w->view_length : row.view_length;
	return people_write_status(tx, &out);
}

/* Runs on the committer's thread. */
static enum status write_copies(struct log_tx *tx, void *arg)
{
	const struct status_write *w = arg;
	struct arena *mem = log_tx_mem(tx);
	struct person_locked row;
	pb_Event event;
	uint64_t teams[CUSTOM_STATUS_TEAMS];
	size_t count = 0, left_count = 0;
	uint64_t *left;
	enum status st = people_lock(tx, w->user_id, &row);

	if (st != STATUS_OK || !still_due(w, &row, log_tx_now_ms(tx)))
		return st;
	for (size_t i = 0; i < w->at_once; i++)
		if (has_id(row.pending, row.pending_count, w->team_ids[i]))
			teams[count++] = w->team_ids[i];
	st = event_begin(mem, w, &row, &row.status, &event);
	if (st != STATUS_OK)
		return st;
	event.event_id = row.event_id;
	if (person_status_set(&row.status)) { /* only the person sets one; an end may be the timer's */
		event.has_actor = true;
		event.actor = event.body.status_changed.user;
		event.actor.has_status = false;
	}
	st = append_to_teams(tx, w->user_id, teams, count, &event);
	if (st != STATUS_OK)
		return st;
	left = ids_join(mem, row.pending, row.pending_count, NULL, 0, teams, count, &left_count);
	return people_write_pending(tx, w->user_id, left, left_count);
}

static void op_teams(struct commit_op *op, const struct status_write *w)
{
	for (size_t i = 0; i < w->at_once; i++)
		op->streams[op->stream_count++] = STREAM_TEAM(w->team_ids[i]);
}

enum status status_change(struct presence *p, const struct rpc_call *call, const struct person_status *status,
	const uint64_t *team_ids, size_t team_count, struct commit_result *out_result)
{
	const pb_RpcHeader *header = call->header;
	struct status_write w = {
		.change = CHANGE_BY_CALL,
		.user_id = header->actor_id,
		.status = *status,
		.actor = header->has_actor ? &header->actor : NULL,
		.team_ids = team_ids,
		.team_count = team_count,
		.at_once = team_count < CUSTOM_STATUS_TEAMS ? team_count : CUSTOM_STATUS_TEAMS,
		.client_label = header->client_label[0] == '\0' ? NULL : header->client_label,
	};
	struct commit_op op = {.work = write_status, .arg = &w};
	pb_UserView view = header->actor;
	enum status st;

	view.has_status = false;
	st = pb_encode_arena(call->mem, pb_UserView_fields, &view, &w.view, &w.view_length);
	if (st != STATUS_OK)
		return st;
	commit_op_from_call(&op, call);
	op.streams[op.stream_count++] = STREAM_USER(w.user_id);
	op_teams(&op, &w);
	st = committer_run(p->committer, call->mem, &op, out_result);
	if (st != STATUS_NOT_FOUND || w.at_once == 0)
		return st;
	/* A team among them is gone for good. The person's own copy does not wait for finding out which:
	 * status_copy drops it. */
	op.stream_count = 1;
	w.at_once = 0;
	return committer_run(p->committer, call->mem, &op, out_result);
}

static enum status run_job(struct presence *p, struct arena *mem, struct status_write *w)
{
	struct commit_result result;
	struct commit_op op = {
		.work = w->change == CHANGE_COPIES ? write_copies : write_status,
		.arg = w,
		.deadline_mono_ms = clock_mono_ms() + JOB_DEADLINE_MS,
	};
	op.streams[op.stream_count++] = STREAM_USER(w->user_id);
	op_teams(&op, w);
	return committer_run(p->committer, mem, &op, &result);
}

static enum status end_status(struct presence *p, struct arena *mem, enum change change, const struct person_due *due,
	const uint8_t *view, size_t view_length)
{
	struct status_write w = {
		.change = change,
		.user_id = due->user_id,
		.view = view,
		.view_length = view_length,
		.team_ids = due->team_ids,
		.team_count = due->team_count,
		.at_once = due->team_count < CUSTOM_STATUS_TEAMS ? due->team_count : CUSTOM_STATUS_TEAMS,
	};
	enum status st = run_job(p, mem, &w);

	if (st != STATUS_NOT_FOUND || w.at_once == 0)
		return st;
	w.at_once = 0;
	return run_job(p, mem, &w);
}

enum status status_expire(struct presence *p, struct arena *mem, const struct person_due *due, const uint8_t *view,
	size_t view_length)
{
	return end_status(p, mem, CHANGE_EXPIRED, due, view, view_length);
}

enum status status_end_away(struct presence *p, struct arena *mem, const struct person_due *due, const uint8_t *view,
	size_t view_length)
{
	return end_status(p, mem, CHANGE_ACTIVE, due, view, view_length);
}

/* Runs on the committer's thread: the team's stream does not exist, so nobody is left to be told. */
static enum status drop_pending(struct log_tx *tx, void *arg)
{
	const struct status_write *w = arg;
	struct person_locked row;
	size_t left_count = 0;
	uint64_t *left;
	enum status st = people_lock(tx, w->user_id, &row);

	if (st != STATUS_OK || !row.exists)
		return st;
	left = ids_join(log_tx_mem(tx), row.pending, row.pending_count, NULL, 0, w->team_ids, w->team_count, &left_count);
	return people_write_pending(tx, w->user_id, left, left_count);
}

enum status status_copy(struct presence *p, struct arena *mem, const struct person_due *due, const uint8_t *view,
	size_t view_length)
{
	struct status_write w = {
		.change = CHANGE_COPIES,
		.user_id = due->user_id,
		.view = view,
		.view_length = view_length,
		.team_ids = due->team_ids,
		.team_count = due->team_count,
		.at_once = due->team_count < CUSTOM_STATUS_TEAMS ? due->team_count : CUSTOM_STATUS_TEAMS,
	};
	size_t together = w.at_once;
	enum status st;

	if (together == 0)
		return STATUS_OK;
	st = run_job(p, mem, &w);
	if (st != STATUS_NOT_FOUND)
		return st;
	/* One of them is gone: find it by writing them one by one. */
	w.at_once = 1;
	w.team_count = 1;
	for (size_t i = 0; i < together; i++) {
		w.team_ids = &due->team_ids[i];
		st = run_job(p, mem, &w);
		if (st == STATUS_NOT_FOUND) {
			struct commit_result result;
			struct commit_op op = {
				.work = drop_pending,
				.arg = &w,
				.streams = {STREAM_USER(w.user_id)},
				.stream_count = 1,
				.deadline_mono_ms = clock_mono_ms() + JOB_DEADLINE_MS,
			};
			log_info("status_team_gone", LOG_ID("team", due->team_ids[i]));
			st = committer_run(p->committer, mem, &op, &result);
		}
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_OK;
}

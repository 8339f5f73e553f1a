#include "services/messaging/post.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "services/messaging/attachments.h"
#include "services/messaging/followup.h"
#include "services/messaging/guard.h"
#include "services/messaging/mentions.h"
#include "services/messaging/messages.h"
#include "services/messaging/notices.h"
#include "services/messaging/people.h"
#include "services/messaging/post_set.h"
#include "services/messaging/rights.h"
#include "services/messaging/views.h"

/* One post in flight; in the call's arena, so it lives until the call is answered. */
struct post {
	struct service *service;
	struct posting what;
	struct rpc_call *call; /* as in `what`, like the next two */
	const pb_PostMessageRequest *rq;
	pb_MessageReply *reply;
	pb_UserView author;
	struct mention_names *names; /* in the text; NULL: none */
	uint64_t replied_to;         /* whose message is replied to; 0: nobody's */
	bool mentions_some, tells;   /* somebody; a person, who is told of it */
	pb_MentionsView mentions;
	pb_AttachmentView *attachments; /* those that it names, as many as it names */
	struct rights rights;
	struct post_row row;
	struct commit_op op;
	struct followup_job job;
	uint64_t earlier_id; /* replayed: the message that the first call wrote */
	int tries;
};

static void post_ended(struct post *p, const struct post_end *end)
{
	if (p->what.ended != NULL)
		p->what.ended(p->what.arg, end);
	else if (end->retry_after_ms != 0)
		rpc_fail_retry(p->call, end->status, end->why, end->retry_after_ms);
	else if (end->status != STATUS_OK)
		rpc_fail(p->call, end->status, end->why, end->field, end->detail);
	else if (end->replayed)
		rpc_finish_replayed(p->call);
	else
		rpc_finish(p->call);
}

static void post_fail(struct post *p, enum status st, const char *why, const char *field)
{
	post_ended(p, &(struct post_end){.status = st, .why = why, .field = field});
}

static void post_done(void *arg, const struct commit_result *result);

/* The view and the payload, by the rights that hold now: the channel may have another name or key than at the
 * last try. */
static enum status post_build(struct post *p)
{
	pb_Event event = {0};
	pb_MessagePosted *posted = &event.body.message_posted;

	p->reply->has_message = true;
	p->reply->message = (pb_MessageView){
		.id = p->row.id,
		.channel_id = p->row.channel_id,
		.has_author = true,
		.author = p->author,
		.kind = p->what.kind != 0 ? p->what.kind : MESSAGE_TEXT,
		.content = p->rq->content,
		.parent_id = p->row.parent_id,
		.root_id = p->row.root_id,
		.nonce = p->rq->nonce,
		.created_at_ms = (uint64_t)p->row.at_ms,
		.has_mentions = p->mentions_some,
		.mentions = p->mentions,
		.webhook_id = p->what.webhook_id,
		.shown_name = (char *)p->what.shown_name,
		.shown_avatar = (char *)p->what.shown_avatar,
		.attachments_count = p->attachments != NULL ? p->rq->attachment_ids_count : 0,
		.attachments = p->attachments,
	};
	p->reply->has_channel = true;
	rights_channel_ref(&p->rights, &p->reply->channel);

	event.has_actor = true;
	event.actor = p->author;
	event.client_label =
		p->call->header->client_label[0] != '\0' ? (char *)p->call->header->client_label : NULL;
	event.event_id = p->row.id; /* there is one event with this id: its posting */
	event.which_body = EVENT_KIND_message_posted;
	posted->has_channel = true;
	posted->channel = p->reply->channel;
	posted->has_message = true;
	posted->message = p->reply->message;
	p->row.audience = p->rights.audience;
	p->row.slow_exempt = p->what.only != NULL || rights_slow_exempt(&p->rights, p->author.bot);
	return event_encode(p->call->mem, &event, &p->row.payload, &p->row.payload_length);
}

static void post_submit(struct post *p)
{
	p->op = (struct commit_op){0};
	commit_op_from_call(&p->op, p->call);
	p->op.actor_id = p->author.id; /* also of what the system posts */
	p->op.streams[0] = p->rights.stream;
	p->op.stream_count = 1;
	p->op.checks[0] = (struct commit_check){
		.stream = p->rights.stream,
		.stream_epoch = p->rights.stream_epoch,
		.check_stream = true,
		.user_id = p->call->header->actor_id,
		.member_epoch = p->rights.member_epoch,
		.generation = p->rights.generation,
	};
	p->op.check_count = 1;
	p->op.set = &post_set;
	p->op.done = post_done;
	p->op.arg = &p->row;
	committer_submit(p->service->committer, &p->op);
}

static const struct db_stmt parent_stmt = {
	"messaging_post_parent",
	"SELECT coalesce(root_id, id), author_id, kind,"
	" (SELECT b.place - b.replies_place FROM messaging.messages b WHERE b.channel_id = $2 AND b.seq <= $3 AND b.place IS NOT NULL"
	"  ORDER BY b.seq DESC LIMIT 1)"
	" FROM messaging.messages WHERE id = $1 AND channel_id = $2 AND deleted_at_ms IS NULL",
};

/* The top of the chain that a reply joins, and whom it answers. What somebody does and what the system says is not answered: CONFLICT,
 * with the kind. None of this changes; whether the parent still stands is asked again
 * under the lock. */
static enum status post_find_root(struct post *p, const char **out_detail)
{
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};

	enum status st = db_acquire(p->service->db, p->call->deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, p->call->mem);
	db_put_id(&params, p->rq->parent_id);
	db_put_id(&params, p->row.channel_id);
	db_put_id(&params, p->rights.joined_seq);
	st = db_query(conn, p->call->mem, &parent_stmt, &params, &rows);
	db_release(conn);
	if (st == STATUS_OK && rows.count == 0)
		return STATUS_NOT_FOUND;
	if (st != STATUS_OK)
		return st;
	if (db_i64(&rows, 0, 2) != MESSAGE_TEXT) {
		*out_detail = message_kind_word((uint32_t)db_i64(&rows, 0, 2));
		return STATUS_CONFLICT;
	}
	p->row.root_id = db_id(&rows, 0, 0);
	p->row.joined = rights_is_member(&p->rights);
	p->row.joined_mains = db_i64(&rows, 0, 3);
	p->replied_to = db_id(&rows, 0, 1);
	return STATUS_OK;
}

/* The files it comes with. They do not change; whose they are is asked again under the lock. */
static enum status post_find_attachments(struct post *p, const char **out_field)
{
	size_t count = p->rq->attachment_ids_count;

	enum status st = attachments_find(
		p->service, p->call, p->row.channel_id, p->rq->attachment_ids, count, &p->attachments);
	if (st == STATUS_FIELD_INVALID)
		*out_field = "attachments";
	if (st != STATUS_OK)
		return st;
	p->row.attachment_ids = mentions_array(p->call->mem, p->rq->attachment_ids, count);
	return attachments_encode(
		p->call->mem, p->attachments, count, &p->row.attachments, &p->row.attachments_length);
}

/* The channel is one to post to, and with files one to attach to. */
static enum status post_allowed(const struct post *p, const char **out_why)
{
	enum status st = rights_need_post(&p->rights, p->rq->parent_id != 0, out_why);

	return st == STATUS_OK && p->rq->attachment_ids_count > 0
		       ? rights_need(&p->rights, PERMISSION_attach_files, out_why)
		       : st;
}

/* Judged by the same epoch of the stream as the author: the commit compares one. */
static enum status post_vouched(struct post *p, enum rights_from from, const char **out_why)
{
	const struct voucher *voucher = p->what.voucher;
	struct rights his;

	enum status st = voucher_allowed(p->service, p->call, voucher, p->row.channel_id, from, &his, out_why);
	if (st == STATUS_OK && his.cached && !voucher_agrees(&his, &p->rights))
		st = voucher_allowed(p->service, p->call, voucher, p->row.channel_id, RIGHTS_FRESH, &his, out_why);
	if (st != STATUS_OK)
		return st;
	p->row.voucher = mentions_array(
		p->call->mem, (const uint64_t[]){voucher->user_id, his.member_epoch, voucher->account_epoch}, 3);
	return voucher_agrees(&his, &p->rights) ? STATUS_OK : STATUS_BUSY;
}

static enum status post_rights(struct post *p, enum rights_from from, const char **out_why)
{
	enum status st = rights_of_channel(p->service, p->call, p->row.channel_id, from, &p->rights);

	if (st == STATUS_OK)
		st = post_allowed(p, out_why);
	if (st == STATUS_OK && p->what.voucher != NULL)
		st = post_vouched(p, from, out_why);
	if (p->what.only != NULL)
		p->rights.bits = bits_and(p->rights.bits, *p->what.only);
	return st;
}

/* What the text mentions, judged anew with every try. May replace the rights: a right to mention everybody that was given
 * since they were cached raises no epoch. */
static enum status post_mentions(struct post *p, const char **out_why)
{
	struct mention_answer answer;
	bool missing = false;

	enum status st = mentions_judge(p->service, p->call, p->row.channel_id, p->names, &answer);
	if (st != STATUS_OK)
		return st;
	p->mentions_some =
		mentions_settle(p->call->mem, p->names, &answer, &p->rights, NULL, &p->mentions, &missing);
	if (!missing || !p->rights.cached)
		return STATUS_OK;
	st = post_rights(p, RIGHTS_FRESH, out_why);
	if (st == STATUS_OK)
		p->mentions_some = mentions_settle(
			p->call->mem, p->names, &answer, &p->rights, NULL, &p->mentions, &missing);
	return st;
}

/* The rows that are written with the message. */
static enum status post_mention_rows(struct post *p)
{
	const pb_MentionsView *view = p->mentions_some ? &p->mentions : NULL;
	struct mention_rows rows;

	mentions_rows(p->call->mem, view, p->author.id, p->replied_to, &rows);
	p->tells = rows.direct;
	p->row.subjects = rows.count > 0 ? mentions_array(p->call->mem, rows.subjects, rows.count) : NULL;
	p->row.kinds = rows.count > 0 ? mentions_array(p->call->mem, rows.kinds, rows.count) : NULL;
	return mentions_encode(p->call->mem, view, &p->row.mentions, &p->row.mentions_length);
}

/* An earlier call had this request id. */
static void post_answer_earlier(struct post *p, const char *first)
{
	enum status st = message_written(p->service, p->call, p->earlier_id, first, &p->reply->message);

	p->reply->has_message = true;
	post_ended(p, &(struct post_end){.status = st, .replayed = true});
}

/* Followup thread. The answer is its message as it is now, for who may see that. The commit found the request
 * before it looked at any right. */
static void post_earlier(void *arg)
{
	struct post *p = arg;
	struct rights now;

	log_set_trace(p->call->header->trace_id);
	enum status st = rights_of_channel(p->service, p->call, p->row.channel_id, RIGHTS_FRESH, &now);
	bool sees = st == STATUS_OK && now.status == STATUS_OK;
	post_answer_earlier(p, sees ? NULL : p->rq->content);
	log_set_trace(NULL);
}

/* Not judged, or refused: then it may still be the repeat of a post that was written. */
static void post_refuse(struct post *p, enum status st, const struct refusal *because)
{
	struct commit_result result = {0};
	struct refusal no = *because;

	if (guard_refuses(st))
		st = guard_repeated(p->service, p->call, st, &result, &no);
	bool files = no.field != NULL && strcmp(no.field, "attachments") == 0;
	if (st == STATUS_FIELD_INVALID && !files && p->rq->nonce != NULL) /* the request id was made of it */
		no.field = "nonce";
	if (st != STATUS_OK) {
		post_ended(p, &(struct post_end){st, no.why, no.field, no.detail, 0, false});
		return;
	}
	p->earlier_id = result.object_id;
	post_answer_earlier(p, p->rq->content);
}

/* Judges by what is cached, or anew when that refuses; then builds and submits. Ends the call when it is
 * refused. */
static void post_go(struct post *p, enum rights_from from)
{
	struct service *s = p->service;
	const char *why = NULL, *field = NULL, *detail = NULL;

	enum status st = post_rights(p, from, &why);
	if (st != STATUS_OK && p->rights.cached) {
		why = NULL;
		st = post_rights(p, RIGHTS_FRESH, &why);
	}
	/* Known a moment ago, unless the rights are of another log than that was. */
	if (st == STATUS_OK && from == RIGHTS_FRESH && p->what.author == NULL)
		st = people_see(s, p->call->mem, &p->call->header->actor, p->call->deadline_mono_ms);
	/* Not before the rights: whether a message exists is not for everybody to know. */
	if (st == STATUS_OK && p->rq->parent_id != 0 && p->row.root_id == 0) {
		st = post_find_root(p, &detail);
		field = st == STATUS_NOT_FOUND || st == STATUS_CONFLICT ? "parent_id" : NULL;
		why = st == STATUS_CONFLICT ? "kind" : NULL;
	}
	if (st == STATUS_OK && p->rq->attachment_ids_count > 0 && p->attachments == NULL)
		st = post_find_attachments(p, &field);
	if (st == STATUS_OK && p->names != NULL)
		st = post_mentions(p, &why);
	if (st == STATUS_OK && (p->names != NULL || p->replied_to != 0))
		st = post_mention_rows(p);
	if (st == STATUS_OK)
		st = post_build(p);
	if (st == STATUS_STALE) /* moderation's word for an ended session */
		why = "session";
	if (st != STATUS_OK)
		post_refuse(p, st, &(struct refusal){.why = why, .field = field, .detail = detail});
	else
		post_submit(p);
}

/* Followup thread: the rights that the post was judged by had changed. */
static void post_again(void *arg)
{
	struct post *p = arg;

	log_set_trace(p->call->header->trace_id);
	post_go(p, RIGHTS_FRESH);
	log_set_trace(NULL);
}

static void post_later(struct post *p, void (*run)(void *))
{
	p->job = (struct followup_job){.run = run, .arg = p};
	followup_submit(p->service->followup, &p->job);
}

/* Runs on the committer's thread after the commit. Must not block. */
static void post_done(void *arg, const struct commit_result *result)
{
	struct post *p = (struct post *)((char *)arg - offsetof(struct post, row));

	if (result->status == STATUS_OK && result->replayed) {
		p->earlier_id = result->object_id;
		post_later(p, post_earlier);
	} else if (result->status == STATUS_OK) {
		p->reply->message.seq = p->row.seq;
		if (p->tells)
			notices_tell(p->service->notices, p->row.id, p->call->header->trace_id);
		post_ended(p, &(struct post_end){.status = STATUS_OK});
	} else if (result->status == STATUS_SLOW_MODE && p->rights.cached) {
		post_later(
			p, post_again); /* a right to pass may have been given since: that raises no epoch */
	} else if (result->status == STATUS_SLOW_MODE) {
		post_ended(p, &(struct post_end){.status = STATUS_SLOW_MODE,
				      .why = result->why,
				      .retry_after_ms = (uint32_t)p->row.wait_ms});
	} else if (result->status == STATUS_STALE && result->why == NULL) {
		rights_cache_drop(p->service->rights, p->call->header->actor_id, p->row.channel_id);
		if (++p->tries <= JUDGE_TRIES)
			post_later(p, post_again);
		else
			post_fail(p, STATUS_BUSY, NULL, NULL);
	} else {
		struct arena *mem = p->call->mem; /* the result's strings die with its batch */
		post_ended(p, &(struct post_end){result->status, arena_strdup(mem, result->why), arena_strdup(mem, result->field),
				      arena_strdup(mem, result->detail), 0, false});
	}
}

static enum status post_check(const pb_PostMessageRequest *rq, const pb_RpcHeader *header,
	const char **out_why, const char **out_field)
{
	if (header->actor_id == 0) {
		*out_why = "actor";
		return STATUS_FORBIDDEN; /* a message has an author */
	}
	if (!header->has_actor || header->actor.id != header->actor_id) {
		*out_why = "actor";
		return STATUS_MALFORMED;
	}
	/* Files say enough by themselves. */
	if (!text_fits(rq->content, rq->attachment_ids_count > 0 ? 0 : 1, MESSAGE_CONTENT_MAX)) {
		*out_field = "content";
		return STATUS_FIELD_INVALID;
	}
	if (rq->kind != 0 && rq->kind != MESSAGE_TEXT && rq->kind != MESSAGE_ME) {
		*out_field = "kind";
		return STATUS_FIELD_INVALID;
	}
	if (rq->nonce != NULL && !text_fits(rq->nonce, 0, MESSAGE_NONCE_MAX)) {
		*out_field = "nonce";
		return STATUS_FIELD_INVALID;
	}
	return STATUS_OK;
}

void post_start(struct service *s, const struct posting *what)
{
	struct rpc_call *call = what->call;
	struct post *p = ARENA_NEW(call->mem, struct post);

	p->service = s;
	p->what = *what;
	p->call = call;
	p->rq = what->rq;
	p->reply = what->reply;
	p->author = author_view(what->author != NULL ? what->author : &call->header->actor);
	p->row.channel_id = what->rq->channel_id;
	p->row.parent_id = what->rq->parent_id;
	p->row.content = what->rq->content;
	p->row.nonce = what->rq->nonce;
	p->row.kind = what->kind;
	p->row.webhook_id = what->webhook_id;
	p->row.shown_name = what->shown_name;
	p->row.shown_avatar = what->shown_avatar;
	p->row.at_ms = clock_wall_ms();
	p->names = mentions_find(call->mem, what->rq->content);
	enum status st = service_next_id(s, &p->row.id);
	if (st == STATUS_OK && what->rq->channel_id == 0 && what->rq->parent_id != 0)
		st = message_home(s, call, what->rq->parent_id, &p->row.channel_id);
	if (st == STATUS_OK && what->author == NULL)
		st = people_see(s, call->mem, &call->header->actor, call->deadline_mono_ms);
	if (st != STATUS_OK)
		post_fail(p, st, NULL, NULL);
	else
		post_go(p, RIGHTS_CACHED);
}

void post_message(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_PostMessageRequest *rq = request;
	const char *why = NULL, *field = NULL;

	enum status st = post_check(rq, call->header, &why, &field);
	if (st != STATUS_OK)
		rpc_fail(call, st, why, field, NULL);
	else
		post_start(service, &(struct posting){.call = call, .rq = rq, .reply = reply, .kind = rq->kind});
}

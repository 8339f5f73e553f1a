#include "services/messaging/commands.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/events/kinds.h"
#include "services/messaging/deliveries.h"
#include "services/messaging/guard.h"
#include "services/messaging/messages.h"
#include "services/messaging/post.h"
#include "services/messaging/views.h"
#include "services/messaging/webhook_posts.h"

#define WAIT_MS  2000 /* for a webhook's answer: it holds a worker of api, which asks elsewhere after half of its time */
#define SPARE_MS 500  /* of the deadline, for the way back */

struct command {
	const char *word;
	uint32_t kind;
	const char *text, *description;
};

static const struct command built_in[] = {
#define COMMAND(word, kind, text, description) {word, kind, text, description},
#include "services/messaging/commands.tbl.h"
#undef COMMAND
};
#define BUILT_IN (sizeof built_in / sizeof *built_in)

static const struct command *find(const char *word)
{
	for (size_t i = 0; i < BUILT_IN; i++)
		if (strcmp(built_in[i].word, word) == 0)
			return &built_in[i];
	return NULL;
}

bool command_is_built_in(const char *word)
{
	return find(word) != NULL;
}

/* ---- list: what is built in, then the channel's own in the order of their words */

static const struct db_stmt list_stmt = {
	"messaging_commands",
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", w.id, w.trigger, w.name FROM e LEFT JOIN messaging.webhooks w"
	" ON w.channel_id = $4 AND w.kind = 2 AND w.trigger IS NOT NULL AND w.deleted_at_ms IS NULL AND NOT w.ending ORDER BY w.trigger",
};

static void add(pb_ListCommandsReply *reply, const char *word, const char *description, uint64_t webhook)
{
	reply->commands[reply->commands_count++] =
		(pb_CommandView){.word = (char *)word, .description = (char *)description, .webhook_id = webhook};
}

static void list_built_in(struct arena *mem, size_t more, pb_ListCommandsReply *reply)
{
	*reply = (pb_ListCommandsReply){.commands = ARENA_ARRAY(mem, BUILT_IN + more, pb_CommandView)};
	for (size_t i = 0; i < BUILT_IN; i++)
		add(reply, built_in[i].word, built_in[i].description, 0);
}

static enum status list_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	pb_ListCommandsReply *reply = arg;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, r->channel_id);
	enum status st = db_query(conn, call->mem, &list_stmt, &params, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	list_built_in(call->mem, (size_t)rows.count, reply);
	for (int i = 0; i < rows.count && !db_is_null(&rows, i, EPOCHS_COUNT); i++)
		add(reply, arena_strdup(call->mem, db_text(&rows, i, EPOCHS_COUNT + 1)),
			arena_strdup(call->mem, db_text(&rows, i, EPOCHS_COUNT + 2)), db_id(&rows, i, EPOCHS_COUNT));
	return STATUS_OK;
}

void list_commands(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_ListCommandsRequest *rq = request;
	struct refusal no = {0};
	enum status st = STATUS_OK;

	if (rq->channel_id == 0)
		list_built_in(call->mem, 0, reply);
	else
		st = guard_read(s, call, s->reads, rq->channel_id, GUARD_VIEW, list_read, reply, &no);
	guard_answer(call, st, &no);
}

/* ---- run */

struct run {
	struct change change; /* that writes the delivery */
	struct service *service;
	struct rpc_call *call;
	const pb_RunCommandRequest *rq;
	pb_RunCommandReply *reply;
	pb_PostMessageRequest post; /* of a built-in word */
	pb_MessageReply posted;
	struct webhook webhook;
	uint64_t delivery_id;
};

static void posted(struct run *run, const pb_MessageReply *message)
{
	run->reply->has_message = message->has_message;
	run->reply->message = message->message;
	run->reply->has_channel = message->has_channel;
	run->reply->channel = message->channel;
}

/* Any thread. */
static void post_ended(void *arg, const struct post_end *end)
{
	struct run *run = arg;

	/* The content is made of the input. */
	const char *field = end->field != NULL && strcmp(end->field, "content") == 0 ? "input" : end->field;
	posted(run, &run->posted);
	if (end->retry_after_ms != 0)
		rpc_fail_retry(run->call, end->status, end->why, end->retry_after_ms);
	else if (end->status != STATUS_OK)
		rpc_fail(run->call, end->status, end->why, field, end->detail);
	else if (end->replayed)
		rpc_finish_replayed(run->call);
	else
		rpc_finish(run->call);
}

/* May he post here? What a word does is told to nobody else, not even that it does nothing. */
static bool may_say(struct run *run)
{
	struct service *s = run->service;
	struct rights r = {0};
	struct refusal no = {0};

	enum status st = rights_of_channel(s, run->call, run->rq->channel_id, RIGHTS_CACHED, &r);
	if (st == STATUS_OK)
		st = rights_need_post(&r, false, &no.why);
	if (st != STATUS_OK && r.cached) {
		no = (struct refusal){0};
		st = rights_of_channel(s, run->call, run->rq->channel_id, RIGHTS_FRESH, &r);
		if (st == STATUS_OK)
			st = rights_need_post(&r, false, &no.why);
	}
	if (st == STATUS_STALE) /* moderation's word for an ended session */
		no.why = "session";
	if (st != STATUS_OK)
		guard_answer(run->call, st, &no);
	return st == STATUS_OK;
}

static void run_built_in(struct run *run, const struct command *command)
{
	const char *input = run->rq->input;
	struct arena *mem = run->call->mem;

	if (command->text == NULL && *input == '\0') {
		if (may_say(run))
			rpc_finish(run->call);
		return;
	}
	const char *content = command->text == NULL ? input
			      : *input == '\0'      ? command->text
						    : arena_printf(mem, "%s %s", input, command->text);
	if (!text_fits(content, 1, MESSAGE_CONTENT_MAX)) {
		rpc_fail(run->call, STATUS_FIELD_INVALID, NULL, "input", NULL);
		return;
	}
	run->post = (pb_PostMessageRequest){
		.channel_id = run->rq->channel_id, .content = (char *)content, .nonce = run->rq->nonce};
	post_start(run->service, &(struct posting){.call = run->call,
				 .rq = &run->post,
				 .reply = &run->posted,
				 .kind = command->kind,
				 .ended = post_ended,
				 .arg = run});
}

static enum status delivery_allowed(struct change *c)
{
	return rights_need_post(&c->rights, false, &c->no.why);
}

static enum status delivery_work(struct log_tx *tx, void *arg)
{
	struct run *run = arg;
	const pb_RpcHeader *header = run->call->header;

	enum status st = delivery_write(tx, run->delivery_id, run->webhook.view.id, header->actor_id, run->rq->input, header->trace_id);
	*run->reply = (pb_RunCommandReply){.waiting = true, .delivery_id = run->delivery_id};
	if (st == STATUS_OK)
		guard_store(tx, &run->change, run->reply);
	return st;
}

/* A thread of the deliveries, or the caller's. */
static void delivery_ended(void *arg, const struct delivery_end *end)
{
	struct run *run = arg;

	run->reply->waiting = end->waiting;
	if (end->posted != NULL)
		posted(run, end->posted);
	if (end->status == STATUS_OK)
		rpc_finish(run->call);
	else
		rpc_fail(run->call, end->status, end->why, NULL, end->status == STATUS_CONFLICT ? delivery_detail(end->why) : NULL);
}

static const struct db_stmt outcome_stmt = {
	"messaging_delivery_outcome",
	"SELECT state = 1, message_id, why FROM messaging.webhook_deliveries WHERE id = $1",
};

static void await(struct run *run)
{
	int64_t until = clock_mono_ms() + WAIT_MS;

	if (until > run->call->deadline_mono_ms - SPARE_MS)
		until = run->call->deadline_mono_ms - SPARE_MS;
	delivery_await(run->service->deliveries, run->delivery_id, until, delivery_ended, run);
}

/* The repeat of a call that was written: what has become of it. */
static enum status outcome(struct run *run)
{
	struct rpc_call *call = run->call;
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};
	struct rights now;

	enum status st = db_acquire(run->service->db, call->deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, call->mem);
	db_put_id(&params, run->reply->delivery_id);
	st = db_query(conn, call->mem, &outcome_stmt, &params, &rows);
	db_release(conn);
	if (st != STATUS_OK)
		return st;
	run->reply->waiting = rows.count > 0 && db_bool(&rows, 0, 0);
	if (rows.count > 0 && !run->reply->waiting && db_is_null(&rows, 0, 1)) {
		run->change.no.why = arena_strdup(call->mem, db_text(&rows, 0, 2));
		run->change.no.detail = delivery_detail(run->change.no.why);
		return STATUS_CONFLICT;
	}
	uint64_t message = rows.count > 0 ? db_id(&rows, 0, 1) : 0;
	if (message == 0)
		return STATUS_OK;
	/* Another has written it: it is for who sees it. */
	st = rights_of_channel(run->service, call, run->rq->channel_id, RIGHTS_FRESH, &now);
	if (st != STATUS_OK || now.status != STATUS_OK)
		return st;
	st = message_written(run->service, call, message, NULL, &run->reply->message);
	run->reply->has_message = st == STATUS_OK && run->reply->message.deleted_at_ms == 0;
	return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static void run_webhook_word(struct run *run)
{
	struct service *s = run->service;
	struct rpc_call *call = run->call;
	bool replayed = false;

	run->change = (struct change){.channel_id = run->rq->channel_id,
		.keeps_rights = true,
		.allowed = delivery_allowed,
		.work = delivery_work,
		.call = call};
	if (!may_say(run))
		return;
	enum status st = webhook_find_word(s, call->mem, run->rq->channel_id, run->rq->word, call->deadline_mono_ms, &run->webhook);
	if (st == STATUS_OK && !run->webhook.idle)
		st = webhook_vouched(s, call, &run->webhook, &run->change.no.why);
	if (st == STATUS_NOT_FOUND || (st == STATUS_OK && run->webhook.idle)) {
		rpc_finish(call); /* nobody is asked */
		return;
	}
	if (st == STATUS_OK)
		st = service_next_id(s, &run->delivery_id);
	if (st == STATUS_OK)
		st = guard_change(s, &run->change, run->reply, &replayed);
	if (st == STATUS_OK && replayed)
		st = outcome(run);
	if (st != STATUS_OK || replayed)
		guard_answer_change(call, st, &run->change.no, replayed);
	else
		await(run);
}

static enum status check(const pb_RunCommandRequest *rq, const pb_RpcHeader *header, struct refusal *no)
{
	if (header->actor_id == 0) {
		no->why = "actor"; /* somebody says it */
		return STATUS_FORBIDDEN;
	}
	if (!header->has_actor || header->actor.id != header->actor_id) {
		no->why = "actor";
		return STATUS_MALFORMED;
	}
	no->field = !text_fits(rq->word, 1, COMMAND_WORD_MAX)                                  ? "word"
		    : !text_fits(rq->input, 0, MESSAGE_CONTENT_MAX)                            ? "input"
		    : rq->nonce != NULL && !text_fits(rq->nonce, 0, MESSAGE_NONCE_MAX) ? "nonce"
												   : NULL;
	return no->field == NULL ? STATUS_OK : STATUS_FIELD_INVALID;
}

void run_command(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct run *run = ARENA_NEW(call->mem, struct run);
	struct refusal no = {0};

	*run = (struct run){.service = service, .call = call, .rq = request, .reply = reply};
	enum status st = check(run->rq, call->header, &no);
	if (st != STATUS_OK) {
		guard_answer(call, st, &no);
		return;
	}
	const struct command *command = find(run->rq->word);
	if (command != NULL)
		run_built_in(run, command);
	else
		run_webhook_word(run);
}

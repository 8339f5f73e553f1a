#include "services/messaging/notices.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/log.h"
#include "common/rpc/stubs.h"
#include "services/messaging/rights.h"
#include "services/messaging/views.h"

#define RECEIVERS  (COMMIT_STREAMS_MAX - 1) /* of one commit: the channel's stream is locked as well */
#define WAITING    1024                     /* messages named and not yet told of; what is beyond is left to the scan */
#define STEP_MS    5000
#define SCAN_MS    2000
#define LEASE_MS   6000
#define LEFT_MS    3000                   /* younger messages are being told of by who posted them */
#define STALE_NEWS INT64_C(24 * 3600000) /* after a day nobody wants to be told any more */

/* ---- one commit */

struct notice {
	struct commit_op op;
	const struct notice_message *message;
	const pb_JudgeMentionsReply *judged;
	uint64_t users[RECEIVERS], epochs[RECEIVERS];
	bool views[RECEIVERS]; /* else he is marked as told, and is not */
	size_t count;
	sem_t *ended;
	enum status status;
};

/* By n: the epoch that counts, and the kind of a row that is still to be told. */
static const struct db_stmt receivers_stmt = {
	"messaging_notice_receivers",
	"SELECT coalesce(em.epoch, 0), x.kind FROM unnest($4::int8[]) WITH ORDINALITY AS q(user_id, n)"
	" LEFT JOIN LATERAL (SELECT m.epoch FROM moderation.member_epochs m WHERE m.rank = $1 AND m.stream_id = $2"
	"  AND m.user_id = q.user_id OFFSET 0) em ON true"
	" LEFT JOIN LATERAL (SELECT r.kind FROM messaging.mentions r WHERE r.message_id = $3 AND r.subject_id = q.user_id"
	"  AND NOT r.told OFFSET 0) x ON true ORDER BY q.n",
};
static const struct db_stmt message_stmt = {
	"messaging_notice_message",
	"SELECT " MESSAGE_COLUMNS " FROM messaging.messages m LEFT JOIN messaging.people p ON p.id = m.author_id"
	" WHERE m.id = $1 AND m.deleted_at_ms IS NULL",
};
static const struct db_stmt told_stmt = {
	"messaging_notice_told",
	"UPDATE messaging.mentions x SET told = true, notice_seq = nullif(w.seq, 0)"
	" FROM unnest($2::int8[], $3::int8[]) AS w(subject_id, seq)"
	" WHERE x.message_id = $1 AND x.subject_id = w.subject_id AND NOT x.told",
};

static enum status notice_tell(
	struct log_tx *tx, const struct notice *notice, size_t i, uint32_t how, const pb_MessageView *message, uint64_t *out_seq)
{
	const pb_ChannelView *channel = &notice->judged->channel;
	char key[AUDIENCE_SIZE];
	pb_Event event = {.has_actor = message->has_author,
		.actor = message->author,
		.which_body = EVENT_KIND_user_mentioned,
		.body.user_mentioned = {.has_channel = true,
			.channel = {channel->id, channel->team_id, channel->kind, channel->name, channel->private},
			.has_message = true,
			.message = *message,
			.how = how,
			.user_id = notice->users[i]}};

	audience_key(key, "user", notice->users[i]);
	return log_tx_append(tx, STREAM_USER(notice->users[i]), key, &event, out_seq);
}

/* Committer's thread, under the locks. */
static enum status notice_work(struct log_tx *tx, void *arg)
{
	const struct notice *notice = arg;
	struct arena *mem = log_tx_mem(tx);
	struct db_params params;
	struct db_rows receivers = {0}, rows = {0};
	uint64_t seqs[RECEIVERS] = {0};
	pb_MessageView message;

	db_params_begin(&params, mem);
	db_put_i16(&params, (int16_t)notice->judged->rank);
	db_put_id(&params, notice->judged->stream_id);
	db_put_id(&params, notice->message->id);
	db_put_ids(&params, notice->users, notice->count);
	enum status st = log_tx_query(tx, &receivers_stmt, &params, &receivers);
	for (size_t i = 0; i < notice->count && st == STATUS_OK; i++)
		if (notice->views[i] && db_id(&receivers, (int)i, 0) != notice->epochs[i])
			st = STATUS_STALE; /* something was taken from him: judged again */
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, mem);
	db_put_id(&params, notice->message->id);
	st = log_tx_query(tx, &message_stmt, &params, &rows);
	if (st != STATUS_OK || rows.count == 0) /* deleted, and its rows with it */
		return st;
	message_from_row(mem, &rows, 0, 0, &message);
	for (size_t i = 0; i < notice->count && st == STATUS_OK; i++)
		if (notice->views[i] && !db_is_null(&receivers, (int)i, 1))
			st = notice_tell(tx, notice, i, (uint32_t)db_i64(&receivers, (int)i, 1), &message, &seqs[i]);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, mem);
	db_put_id(&params, notice->message->id);
	db_put_ids(&params, notice->users, notice->count);
	db_put_ids(&params, seqs, notice->count);
	return log_tx_query(tx, &told_stmt, &params, NULL);
}

/* Committer's thread. */
static void notice_done(void *arg, const struct commit_result *result)
{
	struct notice *notice = arg;

	notice->status = result->status;
	sem_post(notice->ended);
}

static void notice_submit(struct service *s, struct notice *notice, sem_t *ended)
{
	const pb_JudgeMentionsReply *judged = notice->judged;
	struct stream home = {judged->rank, judged->stream_id};

	notice->ended = ended;
	notice->op = (struct commit_op){.streams = {home},
		.stream_count = 1,
		.checks = {{.stream = home, .stream_epoch = judged->stream_epoch, .check_stream = true, .generation = judged->generation}},
		.check_count = 1,
		.deadline_mono_ms = clock_mono_ms() + STEP_MS,
		.trace = notice->message->trace[0] != '\0' ? notice->message->trace : NULL,
		.keeps_rights = true,
		.work = notice_work,
		.done = notice_done,
		.arg = notice};
	for (size_t i = 0; i < notice->count; i++)
		if (notice->views[i])
			notice->op.streams[notice->op.stream_count++] = STREAM_USER(notice->users[i]);
	committer_submit(s->committer, &notice->op);
}

static void await(sem_t *ended)
{
	while (sem_wait(ended) != 0 && errno == EINTR)
		;
}

/* Somebody has no stream: the others are told one by one, and he is not. */
static enum status tell_each(struct service *s, const struct notice *all)
{
	enum status st = STATUS_OK;
	sem_t ended;

	sem_init(&ended, 0, 0);
	for (size_t i = 0; i < all->count && st == STATUS_OK; i++) {
		struct notice one = {.message = all->message, .judged = all->judged, .count = 1};
		one.users[0] = all->users[i];
		one.epochs[0] = all->epochs[i];
		one.views[0] = all->views[i];
		notice_submit(s, &one, &ended);
		await(&ended);
		if (one.status == STATUS_NOT_FOUND && one.views[0]) {
			one.views[0] = false;
			notice_submit(s, &one, &ended);
			await(&ended);
		}
		st = one.status;
	}
	sem_destroy(&ended);
	return st;
}

/* ---- a batch of messages */

struct batch {
	struct service *service;
	struct arena *mem;
	const struct notice_message *messages;
	size_t message_count;
	struct notice *notices;
	size_t count, room;
};

static const struct db_stmt untold_stmt = {
	"messaging_notice_untold",
	"SELECT q.n - 1, x.channel_id, x.subject_id FROM unnest($1::int8[]) WITH ORDINALITY AS q(id, n)"
	" CROSS JOIN LATERAL (SELECT r.channel_id, r.subject_id FROM messaging.mentions r WHERE r.message_id = q.id"
	"  AND NOT r.told OFFSET 0) x ORDER BY q.n, x.subject_id",
};
/* Of a channel that is gone: nobody is told. */
static const struct db_stmt forget_stmt = {
	"messaging_notice_forget",
	"UPDATE messaging.mentions SET told = true WHERE message_id = $1 AND NOT told",
};

static enum status query(
	struct batch *b, const struct db_stmt *stmt, const struct db_params *params, struct db_rows *out_rows)
{
	return db_query_alone(b->service->db, b->mem, stmt, params, clock_mono_ms() + STEP_MS, out_rows);
}

static struct notice *add_notice(struct batch *b, const struct notice_message *message, const pb_JudgeMentionsReply *judged)
{
	if (b->count == b->room) {
		size_t room = b->room > 0 ? 2 * b->room : NOTICE_BATCH;
		b->notices = arena_grow(
			b->mem, b->notices, b->room * sizeof *b->notices, room * sizeof *b->notices);
		b->room = room;
	}
	struct notice *notice = &b->notices[b->count++];
	*notice = (struct notice){.message = message, .judged = judged};
	return notice;
}

static const pb_MentionableUser *judged_user(const pb_JudgeMentionsReply *judged, uint64_t user)
{
	for (pb_size_t i = 0; i < judged->users_count; i++)
		if (judged->users[i].user_id == user)
			return &judged->users[i];
	return NULL;
}

/* Judges the receivers of one message and deals them out to commits. */
static enum status judge_message(struct batch *b, const struct notice_message *message, uint64_t channel,
	uint64_t *users, size_t count)
{
	struct rpc_context context = {
		.trace = message->trace, .deadline_mono_ms = clock_mono_ms() + STEP_MS};
	pb_JudgeMentionsRequest request = {
		.channel_id = channel, .user_ids_count = (pb_size_t)count, .user_ids = users};
	pb_JudgeMentionsReply *judged = ARENA_NEW(b->mem, pb_JudgeMentionsReply);
	struct notice *notice = NULL;
	struct rpc_outcome outcome;
	struct db_params params;

	enum status st = moderation_judge_mentions(
		b->service->moderation, b->mem, &context, &request, judged, &outcome);
	if (st == STATUS_NOT_FOUND) {
		db_params_begin(&params, b->mem);
		db_put_id(&params, message->id);
		return query(b, &forget_stmt, &params, NULL);
	}
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < count; i++) {
		const pb_MentionableUser *user = judged_user(judged, users[i]);
		if (notice == NULL || notice->count == RECEIVERS)
			notice = add_notice(b, message, judged);
		notice->users[notice->count] = users[i];
		notice->views[notice->count] = user != NULL;
		notice->epochs[notice->count++] = user != NULL ? user->member_epoch : 0;
	}
	return STATUS_OK;
}

/* What is still to be told of these messages, judged. */
static enum status judge_batch(struct batch *b)
{
	uint64_t *ids = ARENA_ARRAY(b->mem, b->message_count, uint64_t);
	struct db_params params;
	struct db_rows rows = {0};

	for (size_t i = 0; i < b->message_count; i++)
		ids[i] = b->messages[i].id;
	db_params_begin(&params, b->mem);
	db_put_ids(&params, ids, b->message_count);
	enum status st = query(b, &untold_stmt, &params, &rows);
	uint64_t *users = ARENA_ARRAY(b->mem, (size_t)rows.count, uint64_t);
	for (int from = 0, to = 0; from < rows.count && st == STATUS_OK; from = to) {
		size_t count = 0;
		for (to = from; to < rows.count && db_i64(&rows, to, 0) == db_i64(&rows, from, 0); to++)
			users[count++] = db_id(&rows, to, 2);
		st = judge_message(b, &b->messages[db_i64(&rows, from, 0)], db_id(&rows, from, 1), users, count);
	}
	return st;
}

/* All commits wait together, so that they are few transactions. */
static enum status commit_batch(struct batch *b)
{
	enum status worst = STATUS_OK;
	sem_t ended;

	sem_init(&ended, 0, 0);
	for (size_t i = 0; i < b->count; i++)
		notice_submit(b->service, &b->notices[i], &ended);
	for (size_t i = 0; i < b->count; i++)
		await(&ended);
	sem_destroy(&ended);
	for (size_t i = 0; i < b->count; i++) {
		struct notice *notice = &b->notices[i];
		if (notice->status == STATUS_NOT_FOUND)
			notice->status = tell_each(b->service, notice);
		/* Away or busy outweighs stale: that is not to be tried again at once. */
		if (notice->status != STATUS_OK && (worst == STATUS_OK || worst == STATUS_STALE))
			worst = notice->status;
	}
	return worst;
}

enum status notices_run(struct service *s, const struct notice_message *messages, size_t count)
{
	enum status st = STATUS_STALE;

	for (int tries = 0; tries <= JUDGE_TRIES && st == STATUS_STALE; tries++) {
		struct batch b = {
			.service = s, .mem = arena_create(), .messages = messages, .message_count = count};
		st = judge_batch(&b);
		/* What was judged before something failed is told all the same. */
		enum status committed = commit_batch(&b);
		if (st == STATUS_OK)
			st = committed;
		arena_destroy(b.mem);
	}
	if (st != STATUS_OK)
		log_warn("notices_put_off", LOG_STATUS("status", st), LOG_U64("messages", count));
	return st;
}

static const struct db_stmt left_stmt = {
	"messaging_notice_left",
	"SELECT x.message_id FROM (SELECT DISTINCT r.message_id FROM messaging.mentions r WHERE NOT r.told"
	"  AND r.message_id > $1 AND r.message_id < $2) x"
	" CROSS JOIN LATERAL (SELECT m.created_at_ms, m.edited_at_ms FROM messaging.messages m WHERE m.id = x.message_id OFFSET 0) m"
	" WHERE coalesce(m.edited_at_ms, m.created_at_ms) > $3 ORDER BY x.message_id LIMIT $4",
};

enum status notices_scan(struct service *s, int64_t since_ms, uint64_t before)
{
	uint64_t after = 0;
	enum status st = STATUS_OK, worst = STATUS_OK;
	int found = NOTICE_BATCH;

	/* What fails for a reason of its own holds nobody else up. */
	while (st != STATUS_BUSY && st != STATUS_LATE && found == NOTICE_BATCH) {
		struct notice_message messages[NOTICE_BATCH] = {0};
		struct batch b = {.service = s, .mem = arena_create()};
		struct db_params params;
		struct db_rows rows = {0};

		db_params_begin(&params, b.mem);
		db_put_id(&params, after);
		db_put_id(&params, before);
		db_put_i64(&params, since_ms);
		db_put_i64(&params, NOTICE_BATCH);
		st = query(&b, &left_stmt, &params, &rows);
		found = rows.count;
		for (int i = 0; i < found; i++)
			messages[i].id = after = db_id(&rows, i, 0);
		arena_destroy(b.mem);
		if (st == STATUS_OK && found > 0)
			st = notices_run(s, messages, (size_t)found);
		if (st != STATUS_OK)
			worst = st;
	}
	return worst;
}

/* ---- the thread */

struct notices {
	struct service *service;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct notice_message waiting[WAITING]; /* a ring */
	size_t first, count;
	bool stopping;
};

void notices_tell(struct notices *n, uint64_t message_id, const char *trace)
{
	if (n == NULL)
		return;
	pthread_mutex_lock(&n->lock);
	if (n->count < WAITING && !n->stopping) {
		struct notice_message *m = &n->waiting[(n->first + n->count++) % WAITING];
		*m = (struct notice_message){.id = message_id};
		if (trace != NULL)
			strncpy(m->trace, trace, sizeof m->trace - 1);
		pthread_cond_signal(&n->some);
	}
	pthread_mutex_unlock(&n->lock);
}

/* Waits for messages until the scan is due. Returns how many were taken; 0 with *out_ending: nothing is left to do. */
static size_t notices_take(
	struct notices *n, int64_t scan_at_ms, struct notice_message out[NOTICE_BATCH], bool *out_ending)
{
	struct timespec until = clock_timespec(scan_at_ms);
	size_t taken = 0;

	pthread_mutex_lock(&n->lock);
	while (n->count == 0 && !n->stopping &&
		pthread_cond_timedwait(&n->some, &n->lock, &until) != ETIMEDOUT)
		;
	for (; n->count > 0 && taken < NOTICE_BATCH; n->count--) {
		out[taken++] = n->waiting[n->first];
		n->first = (n->first + 1) % WAITING;
	}
	*out_ending = n->stopping;
	pthread_mutex_unlock(&n->lock);
	return taken;
}

static void notices_look(struct service *s)
{
	struct db_conn *conn = NULL;
	bool mine = false;
	int64_t now_ms = clock_wall_ms();

	if (!db_up(s->db) || db_acquire(s->db, clock_mono_ms() + SCAN_MS, &conn) != STATUS_OK)
		return;
	enum status st = job_lease(conn, "messaging_notices", s->instance, LEASE_MS, &mine);
	db_release(conn);
	if (st == STATUS_OK && mine)
		notices_scan(s, now_ms - STALE_NEWS, ids_from_wall_ms(now_ms - LEFT_MS));
}

static void *notices_thread(void *arg)
{
	struct notices *n = arg;
	struct notice_message batch[NOTICE_BATCH];
	int64_t scan_at_ms = clock_mono_ms();
	bool ending = false;

	for (;;) {
		size_t count = notices_take(n, scan_at_ms, batch, &ending);
		if (count > 0 && notices_run(n->service, batch, count) != STATUS_OK && ending)
			break;
		if (count == 0 && ending)
			break;
		if (!ending && clock_mono_ms() >= scan_at_ms) {
			notices_look(n->service);
			scan_at_ms = clock_mono_ms() + SCAN_MS;
		}
	}
	return NULL;
}

enum status notices_start(struct service *s, struct notices **out_notices)
{
	struct notices *n = calloc(1, sizeof *n);

	if (n == NULL)
		return STATUS_INTERNAL;
	n->service = s;
	pthread_mutex_init(&n->lock, NULL);
	clock_cond_init(&n->some);
	if (pthread_create(&n->thread, NULL, notices_thread, n) != 0) {
		pthread_cond_destroy(&n->some);
		pthread_mutex_destroy(&n->lock);
		free(n);
		return STATUS_INTERNAL;
	}
	*out_notices = n;
	return STATUS_OK;
}

void notices_stop(struct notices *n)
{
	if (n == NULL)
		return;
	pthread_mutex_lock(&n->lock);
	n->stopping = true;
	pthread_cond_signal(&n->some);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
}

void notices_destroy(struct notices *n)
{
	if (n == NULL)
		return;
	pthread_cond_destroy(&n->some);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

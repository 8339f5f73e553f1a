#include "services/messaging/post_set.h"

#include <string.h>

#include "services/messaging/beside.h"

/* This set's verdicts; the statement below writes them as numbers. */
enum post_verdict {
	POST_NO_CHANNEL = COMMIT_OWN, /* 100: never was, deleted, or of another stream than was locked */
	POST_ARCHIVED = 101,
	POST_NO_PARENT = 102, /* or the top of its thread is gone */
	POST_SLOW = 103,
	POST_NO_ATTACHMENT = 104, /* not the author's, another channel's or message's, or collected */
};

/*
 * Under the lock of the channel's home stream nobody else posts to, edits or deletes in its channels, so what
 * is read here is what is true at the commit: counters are written as sums of what was read, and rows are
 * found again by their ctid.
 *
 * The plan is made once, often while the tables are empty, and must not turn into a scan when they have
 * grown. Hence LATERAL with OFFSET 0 and nothing but the primary key in WHERE (seen: messages.channel_id
 * there took the other index and read the whole channel; a join by id scanned all messages), and ctid joins,
 * which have one plan only.
 *
 * Two of them: what only some posts have (a parent, mentions, another kind, a webhook, attachments) costs columns, arrays and rows, which
 * every post of a statement pays for. Attachments are of one channel, so under the lock of its stream only their collection can be at
 * them: it skips what is locked, and what it took first is not found here.
 */
/* clang-format off */
#define POST_SQL(own_arrays, own_columns, parent_columns, parent_fate, parent_join, posts, stored, values, rows, results) \
	"WITH " COMMIT_SET_JUDGED( \
		"$11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::text[], $16::text[], $17::int8[], $18::bool[]," \
		" $19::text[], $20::bytea[]" own_arrays, \
		"message_id, channel_id, parent_id, root_id, content, nonce, made_at_ms, exempt, audience, payload" own_columns) \
	", checked AS (SELECT j.*, 134 AS kind, j.message_id AS object_id, NULL::bytea AS reply, c.counted, c.replies_counted," \
	" c.place AS channel_place, rs.place AS mark_place, rs.mains AS mark_mains" parent_columns "," \
	" CASE WHEN c.slow_mode_s > 0 THEN coalesce(nullif(greatest(" \
	"  rs.last_post_at_ms + c.slow_mode_s * 1000::int8 - j.made_at_ms, 0), 0), c.slow_mode_s * 1000::int8) END AS wait_ms," \
	" CASE WHEN j.verdict <> 0 THEN j.verdict" \
	" WHEN c.stream_id IS DISTINCT FROM j.id OR c.deleted_at_ms IS NOT NULL THEN 100" \
	" WHEN c.archived_at_ms IS NOT NULL THEN 101" \
	parent_fate \
	" WHEN c.slow_mode_s > 0 AND NOT j.exempt AND (rs.last_post_at_ms + c.slow_mode_s * 1000::int8 > j.made_at_ms" \
	"  OR EXISTS (SELECT FROM judged b WHERE b.channel_id = j.channel_id AND b.actor = j.actor AND b.i < j.i" \
	"   AND b.verdict = 0)) THEN 103" \
	" ELSE 0 END AS fate" \
	" FROM judged j" \
	" LEFT JOIN LATERAL (SELECT c.ctid AS place, c.stream_id, c.deleted_at_ms, c.archived_at_ms, c.slow_mode_s, c.counted," \
	"  c.replies_counted FROM messaging.channels c WHERE c.id = j.channel_id OFFSET 0) c ON true" \
	parent_join \
	" LEFT JOIN LATERAL (SELECT rs.ctid AS place, rs.last_post_at_ms, rs.counted - rs.replies_counted AS mains," \
	"  coalesce(rs.main_read_id, rs.last_read_id) AS main_id" \
	"  FROM messaging.read_state rs WHERE rs.user_id = j.actor AND rs.channel_id = j.channel_id OFFSET 0) rs ON true)" \
	COMMIT_SET_NUMBERED \
	", posts AS MATERIALIZED (" posts ")" \
	", messages AS (INSERT INTO messaging.messages (id, channel_id, seq, author_id, content, parent_id, root_id, nonce," \
	"  created_at_ms, place, replies_place" stored ")" \
	" SELECT message_id, channel_id, seq, actor, content, nullif(parent_id, 0), nullif(root_id, 0), nonce, made_at_ms," \
	"  place, replies_place" values " FROM posts)" \
	rows \
	", channels AS (UPDATE messaging.channels c SET last_message_id = p.message_id, counted = p.place," \
	" replies_counted = p.replies_place, message_count = c.message_count + p.place - p.counted" \
	" FROM posts p WHERE p.newest AND c.ctid = p.channel_place)" \
	/* Who posts has read what was there; who replies, of the main stream no more than before. By ctid where there is a mark: an upsert \
	 * locks the row first, at twice the price. A mark is not under the stream's lock: when its owner sets it in this very moment, his is \
	 * as good as ours. */ \
	", marks AS (UPDATE messaging.read_state r SET last_read_id = p.message_id, last_read_seq = p.seq, counted = p.place," \
	" replies_counted = p.mark_replies, main_read_id = p.mark_main, last_post_at_ms = p.made_at_ms" \
	" FROM posts p WHERE p.newest_of_author AND r.ctid = p.mark_place)" \
	", first_marks AS (INSERT INTO messaging.read_state (user_id, channel_id, last_read_id, last_read_seq, counted, replies_counted," \
	"  main_read_id, last_post_at_ms)" \
	" SELECT actor, channel_id, message_id, seq, place, mark_replies, mark_main, made_at_ms FROM posts WHERE newest_of_author AND mark_place IS NULL" \
	" ON CONFLICT (user_id, channel_id) DO UPDATE SET last_read_id = EXCLUDED.last_read_id," \
	" last_read_seq = EXCLUDED.last_read_seq, counted = EXCLUDED.counted, replies_counted = EXCLUDED.replies_counted," \
	" main_read_id = EXCLUDED.main_read_id, last_post_at_ms = EXCLUDED.last_post_at_ms)" \
	" SELECT " COMMIT_SET_COLUMNS_OF_N ", n.wait_ms, n.counted + count(*) FILTER (WHERE n.fate = 0) OVER of_channel," results \
	" WINDOW of_channel AS (PARTITION BY n.channel_id ORDER BY n.i), of_root AS (PARTITION BY n.root_id ORDER BY n.i)"

#define POST_COLUMNS \
	"actor, channel_id, message_id, seq, made_at_ms, content, parent_id, root_id, nonce, channel_place, mark_place, counted"
#define POST_WINDOWS \
	" lead(i) OVER of_channel IS NULL AS newest, lead(i) OVER of_author IS NULL AS newest_of_author"
#define POST_WINDOW \
	" WINDOW of_channel AS (PARTITION BY channel_id ORDER BY i), of_author AS (PARTITION BY channel_id, actor ORDER BY i)"

/* ---- without replies and mentions */

#define PLAIN_POSTS \
	"SELECT " POST_COLUMNS ", counted + row_number() OVER of_channel AS place, replies_counted AS replies_place," \
	" replies_counted AS mark_replies, NULL::int8 AS mark_main," POST_WINDOWS " FROM numbered WHERE fate = 0" POST_WINDOW

/* ---- with them. mark_replies, mark_main: what makes the main stream's mark stand at one's newest post in it, or where it stood: of a
 * member without a mark where he joined. */

#define RICH_PARENT_COLUMNS ", p.place AS parent_place, r.place AS root_place, r.author_id AS root_author, r.reply_count AS root_replies, rs.main_id AS mark_main_id"
/* A thread goes with its first message: what is left of it is not answered. */
#define RICH_PARENT_FATE \
	" WHEN j.parent_id <> 0 AND (p.channel_id IS DISTINCT FROM j.channel_id OR p.deleted_at_ms IS NOT NULL OR r.place IS NULL" \
	"  OR r.deleted_at_ms IS NOT NULL) THEN 102"
#define RICH_PARENT_JOIN \
	" LEFT JOIN LATERAL (SELECT p.ctid AS place, p.channel_id, p.deleted_at_ms" \
	"  FROM messaging.messages p WHERE j.parent_id <> 0 AND p.id = j.parent_id OFFSET 0) p ON true" \
	" LEFT JOIN LATERAL (SELECT r.ctid AS place, r.author_id, r.reply_count, r.deleted_at_ms" \
	"  FROM messaging.messages r WHERE j.root_id <> 0 AND r.id = j.root_id OFFSET 0) r ON true"
#define RICH_POSTS \
	"SELECT q.*, q.place - coalesce(max(CASE WHEN q.root_id = 0 THEN q.place - q.replies_place END) OVER (PARTITION BY q.channel_id," \
	"  q.actor), q.mark_mains, nullif(q.joined_mains, -1), q.place - q.replies_place) AS mark_replies," \
	" CASE WHEN q.root_id <> 0 THEN coalesce(max(CASE WHEN q.root_id = 0 THEN q.message_id END) OVER (PARTITION BY q.channel_id," \
	"  q.actor), q.mark_main_id, 0) END AS mark_main" \
	" FROM (SELECT " POST_COLUMNS ", i, mark_mains, joined_mains, mark_main_id, parent_place, root_place, root_author, mentions, subjects, kinds, message_kind, webhook_id," \
	"  shown_name, shown_avatar, attachment_ids, attachments," \
	"  coalesce(root_replies, 0) + row_number() OVER (PARTITION BY root_id ORDER BY i) AS root_count," \
	"  counted + row_number() OVER of_channel AS place," \
	"  replies_counted + count(*) FILTER (WHERE root_id <> 0) OVER of_channel AS replies_place," POST_WINDOWS \
	"  FROM numbered WHERE fate = 0" POST_WINDOW ") q"
#define RICH_ROWS \
	", mentioned AS (INSERT INTO messaging.mentions (message_id, subject_id, channel_id, seq, kind, author_id, told)" \
	" SELECT p.message_id, w.subject, p.channel_id, p.seq, w.kind, p.actor, w.kind NOT IN (1, 5)" \
	" FROM posts p CROSS JOIN LATERAL unnest(p.subjects::int8[], p.kinds::int2[]) AS w(subject, kind)" \
	" WHERE p.subjects IS NOT NULL)" \
	/* The top of the chain counts all of it, a reply those that answer it. */ \
	", replied AS (UPDATE messaging.messages r SET reply_count = r.reply_count + w.replies, reply_authors = CASE WHEN w.authors IS NULL" \
	"  THEN r.reply_authors ELSE (SELECT x.a[greatest(cardinality(x.a) - 99, 1):] FROM (SELECT r.reply_authors || w.authors AS a) x) END" \
	" FROM (SELECT a.place, count(*)::int AS replies, array_agg(a.author ORDER BY a.i) FILTER (WHERE a.author IS NOT NULL) AS authors" \
	"  FROM (SELECT root_place AS place, actor AS author, i FROM posts WHERE root_place IS NOT NULL" \
	"   UNION ALL SELECT parent_place, NULL, i FROM posts WHERE parent_place IS NOT NULL AND parent_place IS DISTINCT FROM root_place) a" \
	"  GROUP BY a.place) w" \
	" WHERE r.ctid = w.place)" \
	/* Who replies has read the thread; whose root it is, and who is named in a reply, follows it from there on. */ \
	", threads AS (INSERT INTO messaging.thread_read AS t (user_id, channel_id, root_id, last_read_id, read_count)" \
	" SELECT DISTINCT ON (w.user_id, p.root_id) w.user_id, p.channel_id, p.root_id, w.last_read_id, w.read_count" \
	" FROM posts p CROSS JOIN LATERAL (SELECT p.actor AS user_id, p.message_id AS last_read_id, p.root_count AS read_count" \
	"  UNION ALL SELECT p.root_author, 0, p.root_count - 1 WHERE p.root_author <> p.actor" \
	"  UNION ALL SELECT s.subject, 0, p.root_count - 1 FROM unnest(p.subjects::int8[], p.kinds::int2[]) AS s(subject, kind)" \
	"   WHERE s.kind IN (1, 5)) w" \
	" WHERE p.root_place IS NOT NULL" \
	" ORDER BY w.user_id, p.root_id, w.last_read_id = 0, CASE WHEN w.last_read_id = 0 THEN w.read_count ELSE -w.read_count END" \
	" ON CONFLICT (user_id, channel_id, root_id) DO UPDATE SET last_read_id = EXCLUDED.last_read_id, read_count = EXCLUDED.read_count" \
	"  WHERE EXCLUDED.last_read_id <> 0)"

/* 4: COMMIT_STALE_RIGHTS. */
#define VOUCHER_FATE \
	" WHEN j.voucher IS NOT NULL AND ((j.voucher::int8[])[2] <> coalesce((SELECT m.epoch FROM moderation.member_epochs m" \
	"   WHERE m.rank = j.rank AND m.stream_id = j.id AND m.user_id = (j.voucher::int8[])[1]), 0)" \
	"  OR (j.voucher::int8[])[3] <> coalesce((SELECT a.authz_epoch FROM log.streams a" \
	"   WHERE a.rank = 2 AND a.id = (j.voucher::int8[])[1]), 0)) THEN 4"
#define FILES_FATE \
	" WHEN j.attachment_ids IS NOT NULL AND (SELECT count(*) FROM (SELECT FROM messaging.attachments a" \
	"   WHERE a.id = ANY (j.attachment_ids::int8[]) AND a.uploader_id = j.actor AND a.channel_id = j.channel_id" \
	"   AND a.message_id IS NULL AND a.deleted_at_ms IS NULL FOR UPDATE) w) <> cardinality(j.attachment_ids::int8[]) THEN 104" \
	" WHEN j.attachment_ids IS NOT NULL AND EXISTS (SELECT FROM judged b WHERE b.i < j.i" \
	"  AND b.attachment_ids::int8[] && j.attachment_ids::int8[]) THEN 104"
#define FILES_ROWS \
	", attached AS (UPDATE messaging.attachments a SET message_id = w.message_id" \
	" FROM (SELECT p.message_id, unnest(p.attachment_ids::int8[]) AS id FROM posts p WHERE p.attachment_ids IS NOT NULL) w" \
	" WHERE a.id = w.id)"

static const struct db_stmt rich_stmt = {"messaging_post_rich", POST_SQL(
	", $21::bytea[], $22::text[], $23::text[], $24::int4[], $25::int8[], $26::text[], $27::text[], $28::text[], $29::bytea[], $30::int8[], $31::text[]",
	", mentions, subjects, kinds, message_kind, webhook_id, shown_name, shown_avatar, attachment_ids, attachments, joined_mains, voucher", RICH_PARENT_COLUMNS,
	VOUCHER_FATE RICH_PARENT_FATE FILES_FATE,
	RICH_PARENT_JOIN, RICH_POSTS,
	", mentions, kind, webhook_id, shown_name, shown_avatar, attachments",
	", mentions, message_kind::int2, nullif(webhook_id, 0), shown_name, shown_avatar, attachments", RICH_ROWS FILES_ROWS,
	" n.replies_counted + count(*) FILTER (WHERE n.fate = 0 AND n.root_id <> 0) OVER of_channel, true, "
	BESIDE_COLUMNS("n.actor", "m.reply_count + count(*) FILTER (WHERE n.fate = 0) OVER of_root",
		"array_agg(n.actor) FILTER (WHERE n.fate = 0) OVER of_root", "n.subjects::int8[]", "n.kinds::int2[]")
	" FROM numbered n " BESIDE_JOINS("n.fate = 0 AND n.root_id <> 0", "n.root_id"))};
/* clang-format on */

#define ROW(op) ((struct post_row *)(op)->arg)

static bool is_rich(const struct post_row *row)
{
	return row->root_id != 0 || row->mentions != NULL || row->subjects != NULL || row->kind > MESSAGE_TEXT || row->webhook_id != 0 ||
	       row->attachment_ids != NULL;
}

static bool some_rich(struct commit_op *const *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_rich(ROW(ops[i])))
			return true;
	return false;
}

static const struct db_stmt *post_choose(struct commit_op *const *ops, size_t n)
{
	return some_rich(ops, n) ? &rich_stmt : &post_set.stmt;
}

/* $21 .. $27 */
static void put_rich(struct commit_op *const *ops, size_t n, struct db_params *params)
{
	const void **mentions = ARENA_ARRAY(params->mem, n, const void *);
	size_t *lengths = ARENA_ARRAY(params->mem, n, size_t);
	const char **subjects = ARENA_ARRAY(params->mem, n, const char *),
		   **kinds = ARENA_ARRAY(params->mem, n, const char *);
	int32_t *message_kinds = ARENA_ARRAY(params->mem, n, int32_t);
	uint64_t *webhooks = ARENA_ARRAY(params->mem, n, uint64_t);
	const char **names = ARENA_ARRAY(params->mem, n, const char *),
		   **avatars = ARENA_ARRAY(params->mem, n, const char *);

	for (size_t i = 0; i < n; i++) {
		const struct post_row *row = ROW(ops[i]);
		mentions[i] = row->mentions;
		lengths[i] = row->mentions_length;
		subjects[i] = row->subjects;
		kinds[i] = row->kinds;
		message_kinds[i] = row->kind != 0 ? (int32_t)row->kind : MESSAGE_TEXT;
		webhooks[i] = row->webhook_id;
		names[i] = row->shown_name;
		avatars[i] = row->shown_avatar;
	}
	db_put_byteas(params, mentions, lengths, n);
	db_put_texts(params, subjects, n);
	db_put_texts(params, kinds, n);
	db_put_i32s(params, message_kinds, n);
	db_put_ids(params, webhooks, n);
	db_put_texts(params, names, n);
	db_put_texts(params, avatars, n);
}

/* $28 .. $31 */
static void put_rest(struct commit_op *const *ops, size_t n, struct db_params *params)
{
	int64_t *joined = ARENA_ARRAY(params->mem, n, int64_t);
	const char **ids = ARENA_ARRAY(params->mem, n, const char *), **vouchers = ARENA_ARRAY(params->mem, n, const char *);
	const void **views = ARENA_ARRAY(params->mem, n, const void *);
	size_t *lengths = ARENA_ARRAY(params->mem, n, size_t);

	for (size_t i = 0; i < n; i++) {
		const struct post_row *row = ROW(ops[i]);
		ids[i] = row->attachment_ids;
		views[i] = row->attachments;
		lengths[i] = row->attachments_length;
		joined[i] = row->joined ? row->joined_mains : -1;
		vouchers[i] = row->voucher;
	}
	db_put_texts(params, ids, n);
	db_put_byteas(params, views, lengths, n);
	db_put_i64s(params, joined, n);
	db_put_texts(params, vouchers, n);
}

static enum status post_encode(struct commit_op *const *ops, size_t n, struct db_params *params)
{
	struct arena *mem = params->mem;
	uint64_t *ids = ARENA_ARRAY(mem, n, uint64_t), *channels = ARENA_ARRAY(mem, n, uint64_t);
	uint64_t *parents = ARENA_ARRAY(mem, n, uint64_t), *roots = ARENA_ARRAY(mem, n, uint64_t);
	const char **contents = ARENA_ARRAY(mem, n, const char *),
		   **nonces = ARENA_ARRAY(mem, n, const char *);
	int64_t *times = ARENA_ARRAY(mem, n, int64_t);
	bool *exempt = ARENA_ARRAY(mem, n, bool);
	const char **audiences = ARENA_ARRAY(mem, n, const char *);
	const void **payloads = ARENA_ARRAY(mem, n, const void *);
	size_t *lengths = ARENA_ARRAY(mem, n, size_t);

	for (size_t i = 0; i < n; i++) {
		const struct post_row *row = ROW(ops[i]);
		ids[i] = row->id;
		channels[i] = row->channel_id;
		parents[i] = row->parent_id;
		roots[i] = row->root_id;
		contents[i] = row->content;
		nonces[i] = row->nonce;
		times[i] = row->at_ms;
		exempt[i] = row->slow_exempt;
		audiences[i] = row->audience;
		payloads[i] = row->payload;
		lengths[i] = row->payload_length;
	}
	commit_set_params(ops, n, params);
	db_put_ids(params, ids, n);
	db_put_ids(params, channels, n);
	db_put_ids(params, parents, n);
	db_put_ids(params, roots, n);
	db_put_texts(params, contents, n);
	db_put_texts(params, nonces, n);
	db_put_i64s(params, times, n);
	db_put_bools(params, exempt, n);
	db_put_texts(params, audiences, n);
	db_put_byteas(params, payloads, lengths, n);
	if (some_rich(ops, n)) {
		put_rich(ops, n, params);
		put_rest(ops, n, params);
	}
	return STATUS_OK;
}

static enum status post_decode(struct commit_op *op, const struct db_rows *rows, int row, struct arena *mem,
	struct commit_result *result, struct logged_event *out_event, bool *out_written)
{
	struct post_row *post = ROW(op);
	enum commit_verdict verdict = commit_set_verdict(op, rows, row, result, out_event);

	*out_written = verdict == COMMIT_FIT;
	switch ((int)verdict) {
	case COMMIT_FIT:
		post->seq = out_event->seq;
		post->committed_at_ms = out_event->at_ms;
		out_event->kind = EVENT_KIND_message_posted;
		memcpy(out_event->audience, post->audience, strlen(post->audience) + 1);
		out_event->payload = post->payload;
		out_event->payload_length = post->payload_length;
		beside_post(mem, rows, row, COMMIT_SET_RESULTS + 1, (struct beside_reply){post->id, op->actor_id}, out_event);
		break;
	case COMMIT_OTHER_BODY:
		if (post->nonce != NULL) /* the request id was made of it */
			result->field = "nonce";
		break;
	case POST_NO_CHANNEL:
		result->status = STATUS_NOT_FOUND;
		break;
	case POST_ARCHIVED:
		result->status = STATUS_ARCHIVED;
		result->why = "archived";
		break;
	case POST_NO_PARENT:
		result->status = STATUS_NOT_FOUND;
		result->field = "parent_id";
		break;
	case POST_SLOW:
		result->status = STATUS_SLOW_MODE;
		result->why = "slow_mode";
		post->wait_ms = db_i64(rows, row, COMMIT_SET_RESULTS);
		break;
	case POST_NO_ATTACHMENT:
		result->status = STATUS_FIELD_INVALID;
		result->field = "attachments";
		break;
	default: /* repeated, stale: the result says it all */
		break;
	}
	return STATUS_OK;
}

const struct commit_set post_set = {
	.stmt = {"messaging_post", POST_SQL("", "", "", "", "", PLAIN_POSTS, "", "", "", " n.replies_counted, false FROM numbered n")},
	.choose = post_choose,
	.encode = post_encode,
	.decode = post_decode,
};

#include "services/messaging/beside.h"

#include <string.h>

#include "common/base/log.h"

#define REPLY_AUTHORS_MOST 100
#define NUMBERS_A_READER   3

static size_t numbers(struct arena *mem, const struct db_rows *rows, int row, int column, int64_t **out)
{
	return db_is_null(rows, row, column) ? 0 : db_i64s(rows, row, column, mem, out);
}

/* Those whose replies are of this very statement come last. */
static void add_authors(struct arena *mem, pb_MessageView *root, const int64_t *ids, size_t count)
{
	size_t all = root->reply_authors_count + count, skip = all > REPLY_AUTHORS_MOST ? all - REPLY_AUTHORS_MOST : 0;
	uint64_t *authors = ARENA_ARRAY(mem, all, uint64_t);

	for (size_t i = 0; i < all; i++)
		authors[i] = i < root->reply_authors_count ? root->reply_authors[i]
							   : (uint64_t)ids[i - root->reply_authors_count];
	root->reply_authors = authors + skip;
	root->reply_authors_count = (pb_size_t)(all - skip);
}

static void add_reader(struct beside *b, uint64_t replies, struct beside_reply reply, const int64_t *n)
{
	pb_ThreadReader *reader = &b->readers[b->reader_count++];
	uint64_t read = n[1] < 0 ? replies - (replies > 0) : (uint64_t)n[1];

	*reader = (pb_ThreadReader){.user_id = (uint64_t)n[0], .read_count = replies, .last_read_id = (uint64_t)n[2]};
	if (reader->user_id == reply.author_id) {
		reader->last_read_id = reply.id;
	} else if (replies > read) {
		reader->read_count = read;
		reader->thread_count = replies - read;
	}
}

void beside_from_row(
	struct arena *mem, const struct db_rows *rows, int row, int first, struct beside_reply reply, struct beside *out)
{
	const int message = first + 3, marks = message + MESSAGE_COLUMN_COUNT;
	int64_t *ids = NULL;

	out->has_root = !db_is_null(rows, row, message);
	if (!out->has_root)
		return;
	message_from_row(mem, rows, row, message, &out->root);
	message_marks_from_row(mem, rows, row, marks, &out->root);
	message_bookmarkers_from_row(mem, rows, row, marks + MESSAGE_MARKS_COUNT, &out->root);
	out->root.reply_count = db_id(rows, row, first);
	size_t count = numbers(mem, rows, row, first + 1, &ids);
	if (count > 0)
		add_authors(mem, &out->root, ids, count);
	count = numbers(mem, rows, row, first + 2, &ids) / NUMBERS_A_READER;
	out->readers = ARENA_ARRAY(mem, count, pb_ThreadReader);
	for (size_t i = 0; i < count && out->reader_count < READERS_MOST; i++)
		add_reader(out, out->root.reply_count, reply, ids + i * NUMBERS_A_READER);
}

/* ---- bytes */

static enum status encode(struct arena *mem, const pb_Event *event, const uint8_t **out_bytes, size_t *out_length)
{
	return pb_encode_arena(mem, pb_Event_fields, event, out_bytes, out_length);
}

static enum status encode_posting(struct arena *mem, const struct beside *b, const uint8_t **out_bytes, size_t *out_length)
{
	pb_Event event = {.which_body = EVENT_KIND_message_posted};
	pb_MessagePosted *posted = &event.body.message_posted;

	posted->has_channel = true;
	posted->channel.counted = b->counted;
	posted->channel.replies_counted = b->replies_counted;
	posted->has_root = b->has_root;
	posted->root = b->root;
	posted->readers = b->readers;
	posted->readers_count = (pb_size_t)b->reader_count;
	return encode(mem, &event, out_bytes, out_length);
}

enum status beside_deletion(struct arena *mem, const struct beside *b, const uint8_t **out_bytes, size_t *out_length)
{
	pb_Event event = {.which_body = EVENT_KIND_message_deleted};
	pb_MessageDeleted *deleted = &event.body.message_deleted;

	deleted->has_channel = true;
	deleted->channel.counted = b->counted;
	deleted->channel.replies_counted = b->replies_counted;
	deleted->has_root = b->has_root;
	deleted->root = b->root;
	deleted->readers = b->readers;
	deleted->readers_count = (pb_size_t)b->reader_count;
	return encode(mem, &event, out_bytes, out_length);
}

/* What is too much for one event goes without the root; its readers are told all the same. */
static enum status encode_fitting(struct arena *mem, struct beside *b, size_t payload_length,
	enum status (*how)(struct arena *, const struct beside *, const uint8_t **, size_t *), const uint8_t **out_bytes,
	size_t *out_length)
{
	enum status st = how(mem, b, out_bytes, out_length);

	if (st != STATUS_OK || payload_length + *out_length <= EVENT_MAX_BYTES)
		return st;
	b->has_root = false;
	st = how(mem, b, out_bytes, out_length);
	if (st == STATUS_OK && payload_length + *out_length > EVENT_MAX_BYTES)
		*out_length = 0;
	return st;
}

static uint8_t *joined(struct arena *mem, const uint8_t *payload, size_t length, const uint8_t *behind, size_t behind_length)
{
	uint8_t *both = arena_alloc(mem, length + behind_length);

	memcpy(both, payload, length);
	if (behind_length > 0)
		memcpy(both + length, behind, behind_length);
	return both;
}

void beside_post(struct arena *mem, const struct db_rows *rows, int row, int first, struct beside_reply reply,
	struct logged_event *event)
{
	struct beside b = {.counted = db_id(rows, row, first), .replies_counted = db_id(rows, row, first + 1)};
	const uint8_t *behind;
	size_t length;

	if (db_bool(rows, row, first + 2))
		beside_from_row(mem, rows, row, first + 3, reply, &b);
	enum status st = encode_fitting(mem, &b, event->payload_length, encode_posting, &behind, &length);
	if (st != STATUS_OK) {
		log_error("beside_unfit", LOG_STATUS("status", st));
		return;
	}
	event->payload = joined(mem, event->payload, event->payload_length, behind, length);
	event->payload_length += length;
}

/* ---- what is fetched */

/* $1 messages, $2 roots (0: none), $3 channels. A deleted message's own counters are gone: the channel's as they are. */
static const struct db_stmt fetched_stmt = {
	"messaging_beside",
	"SELECT coalesce(x.place, c.counted), coalesce(x.replies_place, c.replies_counted), "
	/* clang-format off */
	BESIDE_COLUMNS("NULL::int8", "m.reply_count", "NULL::int8[]", "NULL::int8[]", "NULL::int2[]")
	/* clang-format on */
	" FROM unnest($1::int8[], $2::int8[], $3::int8[]) WITH ORDINALITY AS q(message_id, root_id, channel_id, n)"
	" LEFT JOIN LATERAL (SELECT x.place, x.replies_place FROM messaging.messages x WHERE x.id = q.message_id OFFSET 0) x ON true"
	" LEFT JOIN LATERAL (SELECT c.counted, c.replies_counted FROM messaging.channels c WHERE c.id = q.channel_id OFFSET 0) c ON true"
	BESIDE_JOINS("q.root_id <> 0", "q.root_id") " ORDER BY q.n",
};

struct page {
	pb_FetchEventsReply *reply;
	size_t count;
	size_t *at; /* which of the events */
	uint64_t *messages, *roots, *channels, *authors;
	bool *deletions;
};

static void page_add(struct page *p, size_t at, const pb_ChannelRef *channel, const pb_MessageView *message, bool deletion)
{
	p->at[p->count] = at;
	p->messages[p->count] = message->id;
	p->roots[p->count] = message->root_id;
	p->channels[p->count] = channel->id;
	p->authors[p->count] = message->has_author && !deletion ? message->author.id : 0;
	p->deletions[p->count++] = deletion;
}

static void page_find(struct arena *mem, pb_FetchEventsReply *reply, struct page *p)
{
	size_t most = reply->events_count;

	*p = (struct page){.reply = reply,
		.at = ARENA_ARRAY(mem, most, size_t),
		.messages = ARENA_ARRAY(mem, most, uint64_t),
		.roots = ARENA_ARRAY(mem, most, uint64_t),
		.channels = ARENA_ARRAY(mem, most, uint64_t),
		.authors = ARENA_ARRAY(mem, most, uint64_t),
		.deletions = ARENA_ARRAY(mem, most, bool)};
	for (size_t i = 0; i < most; i++) {
		const pb_LoggedEvent *row = &reply->events[i];
		pb_Event event;
		if ((row->kind != EVENT_KIND_message_posted && row->kind != EVENT_KIND_message_deleted) || row->payload == NULL ||
			event_decode(mem, row->payload->bytes, row->payload->size, &event) != STATUS_OK)
			continue;
		if (event.which_body == EVENT_KIND_message_posted)
			page_add(p, i, &event.body.message_posted.channel, &event.body.message_posted.message, false);
		else if (event.which_body == EVENT_KIND_message_deleted)
			page_add(p, i, &event.body.message_deleted.channel, &event.body.message_deleted.message, true);
	}
}

static enum status page_put(struct arena *mem, const struct page *p, const struct db_rows *rows, int i)
{
	pb_LoggedEvent *row = &p->reply->events[p->at[i]];
	struct beside b = {.counted = db_id(rows, i, 0), .replies_counted = db_id(rows, i, 1)};
	const uint8_t *behind;
	size_t length;

	beside_from_row(mem, rows, i, 2, (struct beside_reply){p->messages[i], p->authors[i]}, &b);
	enum status st = encode_fitting(
		mem, &b, row->payload->size, p->deletions[i] ? beside_deletion : encode_posting, &behind, &length);
	if (st == STATUS_OK)
		row->payload = pb_bytes_from(mem, joined(mem, row->payload->bytes, row->payload->size, behind, length),
			row->payload->size + length);
	return st;
}

enum status beside_fetched(struct db_conn *conn, struct arena *mem, pb_FetchEventsReply *reply)
{
	struct page p;
	struct db_params params;
	struct db_rows rows = {0};

	page_find(mem, reply, &p);
	if (p.count == 0)
		return STATUS_OK;
	db_params_begin(&params, mem);
	db_put_ids(&params, p.messages, p.count);
	db_put_ids(&params, p.roots, p.count);
	db_put_ids(&params, p.channels, p.count);
	enum status st = db_query(conn, mem, &fetched_stmt, &params, &rows);
	for (int i = 0; i < rows.count && st == STATUS_OK; i++)
		st = page_put(mem, &p, &rows, i);
	return st;
}

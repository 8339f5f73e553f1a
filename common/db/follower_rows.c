#include "common/db/follower_rows.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define SCAN_BYTES 4194304
#define PAGE       5000
#define BEFORE_ALL UINT64_MAX

/* ---- batches */

/*
 * One snapshot: position, head, and the wanted ones among the rows that follow without a hole. Rows of other kinds are read
 * without their payload. Always at least one row, of NULL events when there are none. `through` is NULL when nothing follows.
 */
static const struct db_stmt fetch_stmt = {"follower_fetch",
	"WITH pos AS MATERIALIZED (SELECT CASE WHEN $4 >= 0 THEN $4 ELSE coalesce((SELECT f.seq FROM log.followers f"
	" WHERE f.name = $1 AND f.rank = $2 AND f.id = $3), 0) END AS at),"
	" page AS MATERIALIZED (SELECT e.*, row_number() OVER w AS n, count(*) FILTER (WHERE e.wanted) OVER w AS wanted_n,"
	" sum(e.bytes) OVER w AS bytes_n FROM pos, LATERAL (SELECT v.seq, v.kind, v.audience, v.created_at, v.actor,"
	" v.request_id, v.kind = ANY ($5::int4[]) AS wanted,"
	" CASE WHEN v.kind = ANY ($5::int4[]) THEN v.payload END AS payload,"
	" CASE WHEN v.kind = ANY ($5::int4[]) THEN octet_length(v.payload) ELSE 0 END AS bytes"
	" FROM log.events v WHERE v.rank = $2 AND v.id = $3 AND v.seq > pos.at ORDER BY v.seq LIMIT $6) e"
	" WINDOW w AS (ORDER BY e.seq)),"
	" whole AS MATERIALIZED (SELECT page.* FROM page, pos WHERE page.seq = pos.at + page.n AND page.wanted_n <= $7"
	" AND (page.bytes_n <= $8 OR page.wanted_n <= 1))"
	" SELECT pos.at, coalesce((SELECT s.seq FROM log.streams s WHERE s.rank = $2 AND s.id = $3), 0),"
	" (SELECT max(seq) FROM whole), e.seq, e.kind, e.audience, floor(extract(epoch FROM e.created_at) * 1000)::int8, e.actor,"
	" e.request_id, e.payload FROM pos LEFT JOIN whole e ON e.wanted ORDER BY e.seq"};

enum fetch_column {
	FETCH_AT,
	FETCH_HEAD,
	FETCH_THROUGH,
	FETCH_SEQ,
	FETCH_KIND,
	FETCH_AUDIENCE,
	FETCH_TIME,
	FETCH_ACTOR,
	FETCH_REQUEST,
	FETCH_PAYLOAD
};

static void event_of_row(struct arena *mem, struct stream s, const struct db_rows *rows, int row, struct followed_event *out)
{
	struct logged_event *ev = &out->logged;
	pb_Event *body = ARENA_NEW(mem, pb_Event);

	*ev = (struct logged_event){
		.stream = s,
		.seq = db_id(rows, row, FETCH_SEQ),
		.kind = (uint32_t)db_i64(rows, row, FETCH_KIND),
		.at_ms = db_i64(rows, row, FETCH_TIME),
		.actor_id = db_id(rows, row, FETCH_ACTOR),
	};
	strncpy(ev->audience, db_text(rows, row, FETCH_AUDIENCE), sizeof ev->audience - 1);
	ev->request_id = db_bytea(rows, row, FETCH_REQUEST, &ev->request_id_length);
	ev->payload = db_bytea(rows, row, FETCH_PAYLOAD, &ev->payload_length);
	out->body = event_decode(mem, ev->payload, ev->payload_length, body) == STATUS_OK ? body : NULL;
}

enum status follower_fetch(struct db_conn *conn, struct arena *mem, const struct log_follower_options *o, struct stream s,
	uint64_t after, size_t most, size_t look, struct follower_page *out)
{
	struct db_params p;
	struct db_rows rows = {0};
	int32_t *kinds = ARENA_ARRAY(mem, o->kind_count, int32_t);

	for (size_t i = 0; i < o->kind_count; i++)
		kinds[i] = (int32_t)o->kinds[i];
	db_params_begin(&p, mem);
	db_put_text(&p, o->name);
	db_put_i16(&p, (int16_t)s.rank);
	db_put_id(&p, s.id);
	db_put_i64(&p, after == FOLLOWER_SAVED ? -1 : (int64_t)after);
	db_put_i32s(&p, kinds, o->kind_count);
	db_put_i64(&p, (int64_t)look);
	db_put_i64(&p, (int64_t)most);
	db_put_i64(&p, SCAN_BYTES);
	enum status st = db_query(conn, mem, &fetch_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	uint64_t at = db_id(&rows, 0, FETCH_AT), head = db_id(&rows, 0, FETCH_HEAD);
	bool some = !db_is_null(&rows, 0, FETCH_THROUGH);
	bool gone = !some && head != at;
	*out = (struct follower_page){.saved = at, .head = head};
	struct followed_event *events = ARENA_ARRAY(mem, (size_t)rows.count, struct followed_event);
	out->batch = (struct log_batch){.follower = o->name,
		.stream = s,
		.gone = gone,
		.after = at,
		.through = some ? db_id(&rows, 0, FETCH_THROUGH) : head,
		.events = events};
	for (int row = 0; row < rows.count && !db_is_null(&rows, row, FETCH_SEQ); row++)
		event_of_row(mem, s, &rows, row, &events[out->batch.count++]);
	return STATUS_OK;
}

/* ---- positions */

static const struct db_stmt save_stmt = {"follower_save",
	"INSERT INTO log.followers AS f (name, rank, id, seq) VALUES ($1, $2, $3, $5)"
	" ON CONFLICT (name, rank, id) DO UPDATE SET seq = excluded.seq WHERE f.seq = $4"};

static void save_params(
	struct db_params *p, struct arena *mem, const char *name, struct stream s, uint64_t from, uint64_t to)
{
	db_params_begin(p, mem);
	db_put_text(p, name);
	db_put_i16(p, (int16_t)s.rank);
	db_put_id(p, s.id);
	db_put_id(p, from);
	db_put_id(p, to);
}

enum status follower_save(struct db_conn *conn, struct arena *mem, const char *name, struct stream s, uint64_t from,
	uint64_t to, bool *out_moved)
{
	struct db_params p;
	struct db_rows rows = {0};

	save_params(&p, mem, name, s, from, to);
	enum status st = db_query(conn, mem, &save_stmt, &p, &rows);
	if (st == STATUS_OK)
		*out_moved = rows.affected == 1;
	return st;
}

enum status log_follower_mark(struct log_tx *tx, const struct log_batch *batch, size_t first, size_t count)
{
	struct db_params p;
	struct db_rows rows = {0};

	assert(first + count <= batch->count);
	uint64_t from = first == 0 ? batch->after : batch->events[first - 1].logged.seq;
	uint64_t to = first + count == batch->count ? batch->through : batch->events[first + count - 1].logged.seq;
	save_params(&p, log_tx_mem(tx), batch->follower, batch->stream, from, to);
	enum status st = log_tx_query(tx, &save_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	return rows.affected == 1 ? STATUS_OK : STATUS_CONFLICT;
}

void log_follower_request_id(const struct log_batch *batch, size_t index, uint8_t out[LOG_FOLLOWER_REQUEST_ID])
{
	static const char tag[] = "log_follower";
	uint64_t seq = index < batch->count ? batch->events[index].logged.seq : batch->through;
	uint64_t place[3] = {batch->stream.rank, batch->stream.id, seq};
	uint8_t bytes[sizeof place];
	crypto_generichash_state h;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(place[i / 8] >> (8 * (i % 8)));
	crypto_generichash_init(&h, NULL, 0, LOG_FOLLOWER_REQUEST_ID);
	crypto_generichash_update(&h, (const uint8_t *)tag, sizeof tag);
	crypto_generichash_update(&h, bytes, sizeof bytes);
	crypto_generichash_update(&h, (const uint8_t *)batch->follower, strlen(batch->follower));
	crypto_generichash_final(&h, out, LOG_FOLLOWER_REQUEST_ID);
}

/* ---- who is behind */

/* The least wanted rank above, or 0. */
static uint32_t next_rank(unsigned ranks, uint32_t above)
{
	for (uint32_t rank = above + 1; rank < 32; rank++)
		if (ranks >> rank & 1)
			return rank;
	return 0;
}

struct stream follower_first(unsigned ranks)
{
	return (struct stream){next_rank(ranks, 0), BEFORE_ALL};
}

enum status follower_behind(struct db_conn *conn, struct arena *mem, const char *name, unsigned ranks, struct stream *at,
	struct stream **out_streams, size_t *out_count)
{
	static const struct db_stmt behind_stmt = {"follower_behind",
		"WITH page AS MATERIALIZED (SELECT s.id, s.seq FROM log.streams s WHERE s.rank = $2 AND s.id > $3"
		" ORDER BY s.id LIMIT $4)"
		" SELECT p.id, p.seq <> coalesce(f.seq, 0) FROM page p LEFT JOIN LATERAL (SELECT f.seq FROM log.followers f"
		" WHERE f.name = $1 AND f.rank = $2 AND f.id = p.id OFFSET 0) f ON true ORDER BY p.id"};
	struct db_params p;
	struct db_rows rows = {0};
	size_t count = 0;

	db_params_begin(&p, mem);
	db_put_text(&p, name);
	db_put_i16(&p, (int16_t)at->rank);
	db_put_i64(&p, (int64_t)at->id); /* BEFORE_ALL: -1 */
	db_put_i64(&p, PAGE);
	enum status st = db_query(conn, mem, &behind_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	struct stream *streams = ARENA_ARRAY(mem, (size_t)rows.count, struct stream);
	for (int row = 0; row < rows.count; row++) {
		at->id = db_id(&rows, row, 0);
		if (db_bool(&rows, row, 1))
			streams[count++] = *at;
	}
	if (rows.count < PAGE)
		*at = (struct stream){next_rank(ranks, at->rank), BEFORE_ALL};
	*out_streams = streams;
	*out_count = count;
	return STATUS_OK;
}

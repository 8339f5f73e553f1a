#include "services/messaging/channels.h"

#include <string.h>

#include "common/base/clock.h"
#include "services/messaging/conversations.h"
#include "services/messaging/guard.h"
#include "services/messaging/people.h"
#include "services/messaging/views.h"

/* ---- create */

struct creation {
	struct change change;
	const pb_CreateChannelRequest *rq;
	pb_ChannelReply *reply;
	uint64_t id;
};

bool channel_kind_is_plain(uint32_t kind)
{
	switch ((enum channel_kind)kind) {
	case CHANNEL_TEXT:
	case CHANNEL_VOICE:
	case CHANNEL_STREAM:
	case CHANNEL_LIST:
	case CHANNEL_ANNOUNCEMENT:
	case CHANNEL_FORUM:
	case CHANNEL_DOC:
	case CHANNEL_MEDIA:
	case CHANNEL_CALENDAR:
	case CHANNEL_SCHEDULING:
		return true;
	case CHANNEL_THREAD: /* these have calls of their own */
	case CHANNEL_DIRECT:
	case CHANNEL_GROUP:
		return false;
	}
	return false;
}

static enum status creation_allowed(struct change *c)
{
	const struct creation *cr = (const struct creation *)c;

	if (cr->rq->policy != POLICY_NONE) {
		enum status st = rights_need(&c->rights, PERMISSION_manage_roles, &c->no.why);
		if (st != STATUS_OK)
			return st;
	}
	if (bits_has(c->rights.bits, PERMISSION_manage_channels))
		return STATUS_OK;
	return rights_need(&c->rights,
		cr->rq->private ? PERMISSION_create_private_channels : PERMISSION_create_public_channels,
		&c->no.why);
}

/* LIMIT bounds what a team with too many would cost. Behind the last position there is is none: then there are two in it. */
static const struct db_stmt creation_place_stmt = {
	"messaging_channel_place",
	"SELECT count(*), least(coalesce(max(position)::int8 + 1, 0), 2147483647) FROM (SELECT position FROM messaging.channels"
	" WHERE team_id = $1 AND deleted_at_ms IS NULL ORDER BY position DESC LIMIT $2) c",
};
static const struct db_stmt creation_insert_stmt = {
	"messaging_channel_insert",
	"INSERT INTO messaging.channels AS c (id, rank, stream_id, team_id, kind, name, topic, position, "
	"private, own,"
	" created_at_ms, created_by, policy) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "
	"RETURNING " CHANNEL_COLUMNS,
};

enum status channel_room(struct log_tx *tx, uint64_t team_id, int32_t *out_position)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, team_id);
	db_put_i64(&params, CHANNELS_PER_TEAM);
	enum status st = log_tx_query(tx, &creation_place_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (db_i64(&rows, 0, 0) >= CHANNELS_PER_TEAM)
		return guard_refuse(tx, STATUS_AT_LIMIT, "channels", NULL);
	if (out_position != NULL)
		*out_position = (int32_t)db_i64(&rows, 0, 1);
	return STATUS_OK;
}

enum status channel_key_appears(struct log_tx *tx, const struct change *c, char *key, uint64_t creator,
	const char *why, uint64_t *out_seq)
{
	pb_Event event;

	if (creator != 0) {
		guard_event(c, EVENT_KIND_audience_changed, &event);
		event.body.audience_changed =
			(pb_AudienceChanged){.user_id = creator, .gained_count = 1, .gained = &key};
		enum status st = log_tx_append(tx, c->rights.stream, "", &event, NULL);
		if (st != STATUS_OK)
			return st;
	}
	guard_event(c, EVENT_KIND_audience_recheck, &event);
	event.body.audience_recheck = (pb_AudienceRecheck){.all = true, .why = (char *)why};
	return log_tx_append(tx, c->rights.stream, "", &event, out_seq);
}

bool channel_has_own_key(const struct rights *r)
{
	char team[AUDIENCE_SIZE];

	audience_key(team, "team", r->team_id);
	return strcmp(team, r->audience) != 0;
}

static enum status creation_work(struct log_tx *tx, void *arg)
{
	struct creation *cr = arg;
	struct change *c = &cr->change;
	struct arena *mem = c->call->mem;
	struct db_params params;
	struct db_rows rows = {0};
	char key[AUDIENCE_SIZE];
	int32_t position = 0;
	pb_Event event;

	enum status st = channel_room(tx, cr->rq->team_id, &position);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, cr->id);
	db_put_i16(&params, (int16_t)c->rights.stream.rank);
	db_put_id(&params, c->rights.stream.id);
	db_put_id(&params, cr->rq->team_id);
	db_put_i16(&params, (int16_t)cr->rq->kind);
	db_put_text(&params, cr->rq->name);
	db_put_text(&params, cr->rq->topic != NULL && *cr->rq->topic != '\0' ? cr->rq->topic : NULL);
	db_put_i32(&params, position);
	db_put_bool(&params, cr->rq->private);
	db_put_bool(&params, cr->rq->own);
	db_put_i64(&params, log_tx_now_ms(tx));
	db_put_id(&params, c->call->header->actor_id);
	db_put_i16(&params, (int16_t)cr->rq->policy);
	st = log_tx_query(tx, &creation_insert_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	cr->reply->has_channel = true;
	channel_from_row(mem, &rows, 0, 0, &cr->reply->channel);

	/* Not only a private one: the base role may lack the view of this kind, or overrides may touch it. */
	bool own_key = cr->rq->private || c->rights.new_restricted;
	audience_key(key, own_key ? "channel" : "team", own_key ? cr->id : cr->rq->team_id);
	/* No key and no event of this channel is older than the channel, so nobody's resume is touched: its
	 * rights_seq stays 0. */
	if (own_key)
		st = channel_key_appears(tx, c, key, cr->rq->own ? c->call->header->actor_id : 0,
			"channel_created", NULL);
	if (st != STATUS_OK)
		return st;
	guard_event(c, EVENT_KIND_channel_created, &event);
	event.body.channel_created = (pb_ChannelCreated){.has_channel = true, .channel = cr->reply->channel};
	st = log_tx_append(tx, c->rights.stream, key, &event, NULL);
	if (st == STATUS_OK)
		guard_store(tx, c, cr->reply);
	log_tx_object(tx, cr->id);
	return st;
}

static const char *creation_wrong_field(const pb_CreateChannelRequest *rq)
{
	if (rq->team_id == 0)
		return "team_id";
	if (!channel_kind_is_plain(rq->kind))
		return "kind";
	if (!text_fits(rq->name, 1, CHANNEL_NAME_MAX))
		return "name";
	if (rq->topic != NULL && !text_fits(rq->topic, 0, CHANNEL_TOPIC_MAX))
		return "topic";
	if (rq->policy > POLICY_FORCED)
		return "policy";
	if (rq->category_id != 0) /* there are no categories to name */
		return "category_id";
	return NULL;
}

void create_channel(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct creation cr = {.rq = request, .reply = reply};
	bool replayed = false;

	cr.change = (struct change){
		.team_id = cr.rq->team_id, .new_kind = cr.rq->kind, .allowed = creation_allowed, .work = creation_work, .call = call};
	cr.change.no.field = creation_wrong_field(cr.rq);
	enum status st = cr.change.no.field != NULL ? STATUS_FIELD_INVALID : service_next_id(s, &cr.id);
	if (st == STATUS_OK)
		st = guard_change(s, &cr.change, reply, &replayed);
	guard_answer_change(call, st, &cr.change.no, replayed);
}

/* ---- get */

static const struct db_stmt get_stmt = {
	"messaging_channel_get",
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", " CHANNEL_COLUMNS
	" FROM e LEFT JOIN messaging.channels c ON c.id = $4 AND c.deleted_at_ms IS NULL",
};

static enum status get_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	pb_ChannelReply *reply = arg;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, r->channel_id);
	enum status st = db_query(conn, call->mem, &get_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0) /* a replica that does not know the stream yet: judged again, then BUSY */
		return STATUS_OK;
	*out_found = guard_epochs(&rows, 0);
	if (db_is_null(&rows, 0, EPOCHS_COUNT))
		return STATUS_NOT_FOUND;
	reply->has_channel = true;
	channel_from_row(call->mem, &rows, 0, EPOCHS_COUNT, &reply->channel);
	return STATUS_OK;
}

void get_channel(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_GetChannelRequest *rq = request;
	struct refusal no;

	pb_ChannelReply *out = reply;

	enum status st = guard_read(s, call, s->reads, rq->channel_id, GUARD_VIEW, get_read, reply, &no);
	if (st == STATUS_OK)
		st = conversations_fill(s, call, &out->channel, 1);
	guard_answer(call, st, &no);
}

/* ---- the row, under the lock */

static const struct db_stmt row_stmt = {
	"messaging_channel_row",
	"SELECT " CHANNEL_COLUMNS " FROM messaging.channels c WHERE c.id = $1",
};

enum status channel_live_row(struct log_tx *tx, struct arena *mem, uint64_t id, pb_ChannelView *out)
{
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, id);
	enum status st = log_tx_query(tx, &row_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	channel_from_row(mem, &rows, 0, 0, out);
	return out->deleted_at_ms != 0 ? STATUS_NOT_FOUND : STATUS_OK;
}

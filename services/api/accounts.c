#include "services/api/accounts.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/db/committer.h"
#include "services/api/accounts_rows.h"
#include "services/api/change.h"
#include "proto/api.pb.h"
#include "services/api/passwords.h"

#define ID_ATTEMPTS 4

/* ---- what may be written */

const char *account_username_fault(const char *username)
{
	size_t length = strlen(username);

	if (length < ACCOUNT_USERNAME_LEAST || length > ACCOUNT_USERNAME_MOST)
		return "must have 2 to 32 characters";
	if (strspn(username, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != length)
		return "may only have a to z, 0 to 9, '_', '.' and '-'";
	return NULL;
}

/* Whether mail arrives is found out by sending one; this only keeps out what cannot be an address. */
const char *account_email_fault(const char *email)
{
	size_t length = strlen(email);
	const char *at = strchr(email, '@');

	if (length > ACCOUNT_EMAIL_MOST)
		return "must have at most 254 characters";
	if (at == NULL || at == email || at - email > 64 || strchr(at + 1, '@') != NULL)
		return "must be an e-mail address";
	const char *dot = strchr(at + 1, '.');
	if (dot == NULL || dot == at + 1 || email[length - 1] == '.')
		return "must be an e-mail address";
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)email[i] <= ' ' || email[i] == 0x7f ||
			strchr("<>,;\"\\", email[i]) != NULL)
			return "must be an e-mail address";
	}
	return NULL;
}

const char *account_url_fault(const char *url)
{
	size_t length = strlen(url);

	if (length > ACCOUNT_URL_BYTES)
		return "must have at most 2048 bytes";
	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		return "must begin with https:// or http://";
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)url[i] <= ' ' || url[i] == 0x7f || strchr("<>\"\\^`{|}", url[i]) != NULL)
			return "must be a URL";
	}
	return NULL;
}

static enum status check_new(const struct account_new *f, struct rpc_outcome *out)
{
	const char *fault = account_username_fault(f->username);

	if (fault != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "username", fault);
	if (f->owner_id == 0) {
		size_t length = text_code_points(f->password, strlen(f->password));
		if (length < ACCOUNT_PASSWORD_LEAST || length > ACCOUNT_PASSWORD_MOST)
			return change_refuse(
				out, STATUS_FIELD_INVALID, "password", "must have 10 to 128 characters");
	}
	fault = f->avatar == NULL ? NULL : account_url_fault(f->avatar);
	if (fault != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "avatar", fault);
	if (f->bio != NULL && text_code_points(f->bio, strlen(f->bio)) > ACCOUNT_BIO_MOST)
		return change_refuse(out, STATUS_FIELD_INVALID, "bio", "must have at most 1000 characters");
	fault = f->email == NULL ? NULL : account_email_fault(f->email);
	if (fault != NULL)
		return change_refuse(out, STATUS_FIELD_INVALID, "email", fault);
	if (f->display_name != NULL &&
		(f->display_name[0] == '\0' ||
			text_code_points(f->display_name, strlen(f->display_name)) > ACCOUNT_NAME_MOST))
		return change_refuse(
			out, STATUS_FIELD_INVALID, "display_name", "must have 1 to 64 characters");
	return STATUS_OK;
}

/* ---- rows */

void accounts_row(const struct db_rows *rows, int row, int column, pb_UserView *out)
{
	const char *text[5];

	for (int i = 0; i < 4; i++)
		text[i] = db_text(rows, row, column + 1 + i);
	*out = (pb_UserView){
		.id = db_id(rows, row, column),
		.username = (char *)(text[0] != NULL ? text[0] : ""),
		.display_name = (char *)text[1],
		.avatar = (char *)text[2],
		.banner = (char *)text[3],
		.bot = db_bool(rows, row, column + 5),
		.system = db_bool(rows, row, column + 6),
		.verified = db_bool(rows, row, column + 7),
		.erased = db_bool(rows, row, column + 8),
		.disabled = db_bool(rows, row, column + 9),
		.created_at_ms = db_id(rows, row, column + 10),
		.last_seen_at_ms = db_id(rows, row, column + 11),
		.flags = db_id(rows, row, column + 12),
		.bio = (char *)db_text(rows, row, column + 13),
		.tagline = (char *)db_text(rows, row, column + 14),
	};
}

static const struct db_stmt get_own = {"accounts_get_own",
	"SELECT " ACCOUNT_COLUMNS
	", a.email, a.email_verified FROM auth.accounts a WHERE a.id = $1 AND a.erased_at_ms IS NULL"};

enum status accounts_get_own(
	struct api *api, struct arena *mem, uint64_t id, int64_t deadline_mono_ms, struct account_own *out)
{
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, mem);
	db_put_id(&params, id);
	enum status st = db_query_alone(api->db, mem, &get_own, &params, deadline_mono_ms, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	accounts_row(&rows, 0, 0, &out->view);
	out->email = db_text(&rows, 0, ACCOUNT_COLUMN_COUNT);
	out->email_verified = db_bool(&rows, 0, ACCOUNT_COLUMN_COUNT + 1);
	return STATUS_OK;
}

enum status accounts_get(
	struct api *api, struct arena *mem, uint64_t id, int64_t deadline_mono_ms, pb_UserView *out)
{
	struct account_own own;
	enum status st = accounts_get_own(api, mem, id, deadline_mono_ms, &own);

	if (st == STATUS_OK)
		*out = own.view;
	return st;
}

static const struct db_stmt get_many = {"accounts_get_many",
	"SELECT st.authz_epoch, " ACCOUNT_COLUMNS
	" FROM unnest($1::bigint[]) WITH ORDINALITY AS w (id, place) "
	"JOIN auth.accounts a ON a.id = w.id JOIN log.streams st ON st.rank = 2 AND st.id = a.id ORDER BY "
	"w.place"};

enum status accounts_get_many(struct api *api, struct arena *mem, const uint64_t *ids, size_t count,
	int64_t deadline_mono_ms, pb_UserView **out_accounts, uint64_t **out_epochs, size_t *out_count)
{
	struct db_params params;
	struct db_rows rows = {0};

	if (count > 0) {
		db_params_begin(&params, mem);
		db_put_ids(&params, ids, count);
		enum status st = db_query_alone(api->db, mem, &get_many, &params, deadline_mono_ms, &rows);
		if (st != STATUS_OK)
			return st;
	}
	pb_UserView *accounts = ARENA_ARRAY(mem, (size_t)rows.count, pb_UserView);
	uint64_t *epochs = ARENA_ARRAY(mem, (size_t)rows.count, uint64_t);
	for (int i = 0; i < rows.count; i++) {
		epochs[i] = db_id(&rows, i, 0);
		accounts_row(&rows, i, 1, &accounts[i]);
	}
	*out_accounts = accounts;
	if (out_epochs != NULL)
		*out_epochs = epochs;
	*out_count = (size_t)rows.count;
	return STATUS_OK;
}

static const struct db_stmt find_by_name = {"accounts_find",
	"SELECT st.authz_epoch, " ACCOUNT_COLUMNS
	" FROM auth.accounts a JOIN log.streams st ON st.rank = 2 AND st.id = a.id "
	"WHERE lower(a.username) = lower($1::text)"};

enum status accounts_find(struct api *api, struct arena *mem, const char *username, int64_t deadline_mono_ms,
	pb_UserView *out, uint64_t *out_epoch)
{
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, mem);
	db_put_text(&params, username);
	enum status st = db_query_alone(api->db, mem, &find_by_name, &params, deadline_mono_ms, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	if (out_epoch != NULL)
		*out_epoch = db_id(&rows, 0, 0);
	accounts_row(&rows, 0, 1, out);
	return STATUS_OK;
}

/* ---- search. Usernames are unique, so an id is as good a cursor as the name it stands for. */

/* Comparing bytes (~<~) is what the index on prefixes is for; 127 lies behind every character a username may
 * have. */
#define SEARCH_FROM                                                                                          \
	"SELECT " ACCOUNT_COLUMNS " FROM auth.accounts a WHERE lower(a.username) ~>=~ $1::text "             \
	"AND lower(a.username) ~<~ ($1::text || chr(127)) AND a.erased_at_ms IS NULL AND a.disabled_at_ms "  \
	"IS NULL "
#define SEARCH_NAME "(SELECT lower(c.username) FROM auth.accounts c WHERE c.id = $2)"
static const struct db_stmt search_after = {"accounts_search_after",
	SEARCH_FROM "AND ($2::bigint = 0 OR lower(a.username) ~>~ " SEARCH_NAME
		    ") ORDER BY lower(a.username) USING ~<~ LIMIT $3"};
static const struct db_stmt search_before = {"accounts_search_before", SEARCH_FROM
	"AND lower(a.username) ~<~ " SEARCH_NAME " ORDER BY lower(a.username) USING ~>~ LIMIT $3"};

static const char *lower_case(struct arena *mem, const char *text)
{
	char *lower = arena_strdup(mem, text);

	for (char *c = lower; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	return lower;
}

enum status accounts_search(struct api *api, struct arena *mem, const char *query, uint64_t before,
	uint64_t after, uint32_t limit, int64_t deadline_mono_ms, pb_UserView **out_accounts,
	size_t *out_count, bool *out_more)
{
	bool backwards = before != 0 && after == 0;
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, mem);
	db_put_text(&params, lower_case(mem, query));
	db_put_id(&params, backwards ? before : after);
	db_put_i64(&params, (int64_t)limit + 1);
	enum status st = db_query_alone(
		api->db, mem, backwards ? &search_before : &search_after, &params, deadline_mono_ms, &rows);
	if (st != STATUS_OK)
		return st;
	bool more = (uint32_t)rows.count > limit;
	size_t count = more ? limit : (size_t)rows.count;
	pb_UserView *accounts = ARENA_ARRAY(mem, count, pb_UserView);
	for (size_t i = 0; i < count; i++)
		accounts_row(&rows, (int)i, 0, &accounts[i]);
	*out_accounts = accounts;
	*out_count = count;
	*out_more = more;
	return STATUS_OK;
}

/* ---- create */

struct create {
	struct arena *mem;
	uint64_t id;
	const pb_UserView *actor; /* of a bot: its owner */
	const struct account_new *fields;
	const char *password_hash;
	bool id_taken;
	pb_UserView *out;
};

/* Conflicts leave no row instead of an error, which would end the transaction's savepoint before the reason
 * is known. */
static const struct db_stmt insert = {"accounts_insert",
	"INSERT INTO auth.accounts AS a (id, username, display_name, email, password_hash, created_at_ms, avatar, "
	"bio, bot, owner_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::bigint IS NOT NULL, $9) "
	"ON CONFLICT DO NOTHING RETURNING " ACCOUNT_COLUMNS};
static const struct db_stmt count_bots = {"accounts_count_bots",
	"SELECT count(*) FROM auth.accounts WHERE owner_id = $1 AND erased_at_ms IS NULL"};
static const struct db_stmt taken = {"accounts_taken",
	"SELECT EXISTS (SELECT FROM auth.accounts WHERE lower(username) = lower($1::text)), "
	"EXISTS (SELECT FROM auth.accounts WHERE lower(email) = lower($2::text))"};

/* Under the lock of the owner's stream: two at once must not both see room for one more. */
static enum status room_for_bot(struct log_tx *tx, uint64_t owner_id)
{
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, owner_id);
	enum status st = log_tx_query(tx, &count_bots, &params, &rows);
	if (st != STATUS_OK || db_i64(&rows, 0, 0) < ACCOUNT_BOTS_MOST)
		return st;
	log_tx_refuse(tx, "bots", NULL, NULL);
	return STATUS_AT_LIMIT;
}

static enum status create_work(struct log_tx *tx, void *arg)
{
	struct create *c = arg;
	enum status st = c->fields->owner_id != 0 ? room_for_bot(tx, c->fields->owner_id) : STATUS_OK;
	struct db_params params;
	struct db_rows rows;

	if (st != STATUS_OK)
		return st;
	c->id_taken = false;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, c->id);
	db_put_text(&params, c->fields->username);
	db_put_text(&params, c->fields->display_name);
	db_put_text(&params, c->fields->email);
	db_put_text(&params, c->password_hash);
	db_put_i64(&params, log_tx_now_ms(tx));
	db_put_text(&params, c->fields->avatar);
	db_put_text(&params, c->fields->bio);
	db_put_id_or_null(&params, c->fields->owner_id);
	st = log_tx_query(tx, &insert, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0) {
		db_params_begin(&params, log_tx_mem(tx));
		db_put_text(&params, c->fields->username);
		db_put_text(&params, c->fields->email);
		st = log_tx_query(tx, &taken, &params, &rows);
		if (st != STATUS_OK)
			return st;
		c->id_taken = !db_bool(&rows, 0, 0) && !db_bool(&rows, 0, 1);
		log_tx_refuse(tx, NULL, db_bool(&rows, 0, 0) ? "username" : "email", "is taken");
		return STATUS_CONFLICT;
	}
	pb_UserView view;
	accounts_row(&rows, 0, 0, &view);
	st = log_tx_create_stream(tx, STREAM_USER(c->id));
	if (st == STATUS_CONFLICT)
		c->id_taken = true;
	if (st != STATUS_OK)
		return st;
	pb_Event event = {
		.has_actor = true,
		.actor = c->fields->owner_id != 0 && c->actor != NULL ? *c->actor : view,
		.which_body = pb_Event_account_created_tag,
		.body.account_created = {.has_user = true, .user = view},
	};
	char audience[AUDIENCE_SIZE];
	audience_key(audience, "user", c->id);
	st = log_tx_append(tx, STREAM_USER(c->id), audience, &event, NULL);
	if (st != STATUS_OK)
		return st;
	log_tx_reply(tx, pb_CreateAccountReply_fields,
		&(pb_CreateAccountReply){.has_account = true, .account = view});
	user_view_copy(c->mem, &view, c->out);
	return STATUS_OK;
}

enum status accounts_create(struct api *api, struct arena *mem, const struct rpc_context *by,
	const struct account_new *fields, pb_UserView *out_account, struct rpc_outcome *out)
{
	struct create c = {.mem = mem, .actor = by->actor, .fields = fields, .out = out_account};
	struct commit_result result;
	struct commit_op op;

	enum status st = check_new(fields, out);
	if (st == STATUS_OK && fields->owner_id == 0) {
		*out = (struct rpc_outcome){0};
		st = out->status = passwords_hash(
			api->passwords, mem, fields->password, by->deadline_mono_ms, &c.password_hash);
	}
	if (st != STATUS_OK)
		return st;
	for (int attempt = 0; attempt < ID_ATTEMPTS; attempt++) {
		c.id = ids_random();
		change_begin(&op, by, create_work, &c);
		if (fields->owner_id == 0)
			op.check_actor = false; /* whoever registers, nobody's rights are used */
		else
			change_stream(&op, STREAM_USER(fields->owner_id));
		st = change_commit(api, mem, &op, &result, out);
		if (st != STATUS_CONFLICT || !c.id_taken)
			break;
	}
	if (st == STATUS_CONFLICT && c.id_taken) {
		log_error("account_ids_exhausted");
		return change_refuse(out, STATUS_INTERNAL, NULL, NULL);
	}
	if (st == STATUS_OK && result.replayed) {
		pb_CreateAccountReply reply;
		if (result.reply == NULL || pb_decode_arena(mem, pb_CreateAccountReply_fields, &reply,
						    result.reply, result.reply_length) != STATUS_OK)
			return change_refuse(out, STATUS_INTERNAL, NULL, NULL);
		*out_account = reply.account;
	}
	return st;
}

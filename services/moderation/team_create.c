/*
 * team_create - making a team: its base role and base group, of the template crust also the role of its administrators, and
 * the membership of its owner, all in the commit that makes its stream.
 */
#include <string.h>

#include "common/base/ids.h"
#include "services/moderation/operations.h"
#include "services/moderation/role_rows.h"
#include "services/moderation/rows.h"
#include "services/moderation/teams.h"

struct creation {
	uint64_t team_id, group_id;
	bool crust; /* the template */
};

static bool template_known(const char *template, bool *out_crust)
{
	*out_crust = template != NULL && strcmp(template, "crust") == 0;
	return template == NULL || *out_crust || strcmp(template, "standard") == 0;
}

/* A word that a team is named by in settings; a number would be an id. */
static bool slug_formed(const char *slug)
{
	size_t length = strlen(slug);

	return length > 0 && length <= TEAM_SLUG_MAX && strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") == length &&
	       strspn(slug, "0123456789") != length;
}

static enum status prepare_create_team(struct change *c)
{
	const pb_CreateTeamRequest *rq = c->request;
	struct creation *made = c->data;

	if (change_by_system(c))
		return change_refuse(c, STATUS_FORBIDDEN, "account", NULL); /* a team has an owner */
	const char *bad = team_bad_field(
		rq->name, rq->description, rq->icon, rq->joining == 0 ? JOINING_OPEN : rq->joining);
	if (bad != NULL)
		return change_field(c, bad);
	if (!template_known(rq->template, &made->crust))
		return change_field(c, "template");
	if (rq->slug != NULL && !slug_formed(rq->slug))
		return change_field(c, "slug");
	enum status st = change_load_session(c);
	if (st != STATUS_OK)
		return st;
	made->team_id = ids_random();
	made->group_id = ids_random();
	change_stream(c, STREAM_USER(change_actor_id(c)));
	return STATUS_OK;
}

static const struct db_stmt role_id_stmt = {"moderation_role_id", "SELECT nextval('log.small_ids')"};
static const struct db_stmt insert_team_stmt = {"moderation_insert_team",
	"INSERT INTO moderation.teams (id, name, description, icon, owner_id, joining, public_read, base_role_id,"
	" base_group_id, created_at_ms, created_by, slug) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $5, $11)"
	" ON CONFLICT (lower(slug)) DO NOTHING RETURNING id"};
static const struct db_stmt insert_role_stmt = {"moderation_insert_base_role",
	"INSERT INTO moderation.roles (id, team_id, name, permissions_low, permissions_high, position, is_base,"
	" created_at_ms, created_by) VALUES ($1, $2, 'everyone', $3, $4, 0, true, $5, $6)"};
static const struct db_stmt insert_group_stmt = {"moderation_insert_base_group",
	"INSERT INTO moderation.groups (id, team_id, name, is_base, created_at_ms) VALUES ($1, $2, $3, true, $4)"};

static enum status insert_team(struct change *c, const pb_TeamView *team, struct bits base)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, team->id);
	db_put_text(&p, team->name);
	db_put_text(&p, team->description);
	db_put_text(&p, team->icon);
	db_put_id(&p, team->owner_id);
	db_put_i16(&p, (int16_t)team->joining);
	db_put_bool(&p, team->public_read);
	db_put_id(&p, team->base_role_id);
	db_put_id(&p, team->base_group_id);
	db_put_i64(&p, c->now_ms);
	db_put_text(&p, team->slug);
	enum status st = change_query(c, &insert_team_stmt, &p, &rows);
	if (st == STATUS_OK && rows.count == 0)
		return change_refuse(c, STATUS_CONFLICT, NULL, "slug");
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, team->base_role_id);
	db_put_id(&p, team->id);
	db_put_i64(&p, (int64_t)base.low);
	db_put_i64(&p, (int64_t)base.high);
	db_put_i64(&p, c->now_ms);
	db_put_id(&p, team->owner_id);
	st = change_query(c, &insert_role_stmt, &p, NULL);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, team->base_group_id);
	db_put_id(&p, team->id);
	db_put_text(&p, team->name);
	db_put_i64(&p, c->now_ms);
	return change_query(c, &insert_group_stmt, &p, NULL);
}

/* Of the template crust: the role that crust calls admins, whose rules are all that it knows (operations.h). */
static enum status make_admins(struct change *c, const pb_RoleView *base)
{
	struct bits set = bits_with(operation_bits(), PERMISSION_administrator);
	struct db_rows rows = {0};

	enum status st = change_query(c, &role_id_stmt, NULL, &rows);
	if (st != STATUS_OK)
		return st;
	pb_RoleView roles[] = {*base,
		{.id = db_id(&rows, 0, 0),
			.team_id = base->team_id,
			.name = "admins",
			.has_permissions = true,
			.permissions = {set.low, set.high},
			.position = 1,
			.created_at_ms = base->created_at_ms}};
	const struct hierarchy h = {.roles = arena_memdup(c->mem, roles, sizeof roles), .count = 2};
	change_actor(c)->stream = STREAM_TEAM(base->team_id);
	st = role_insert(c, &h.roles[1]);
	return st == STATUS_OK ? role_tell(c, EVENT_KIND_role_created, &h, &h.roles[1], NULL, 0) : st;
}

static enum status work_create_team(struct change *c, struct log_tx *tx)
{
	const pb_CreateTeamRequest *rq = c->request;
	struct creation *made = c->data;
	pb_TeamReply *reply = c->reply;
	struct stream s = STREAM_TEAM(made->team_id);
	struct bits base = bits_base_role(made->crust);
	struct db_rows rows = {0};
	uint64_t owner = change_actor_id(c), count = 0, seq = 0;
	char key[AUDIENCE_SIZE];

	enum status st = rows_count_teams(c, owner, &count);
	if (st != STATUS_OK)
		return st;
	if (count >= TEAMS_PER_ACCOUNT_MAX)
		return change_refuse(c, STATUS_AT_LIMIT, "teams", NULL);
	st = log_tx_create_stream(tx, s);
	if (st == STATUS_CONFLICT)
		return STATUS_STALE; /* a random id that exists: prepare takes another */
	if (st == STATUS_OK)
		st = change_query(c, &role_id_stmt, NULL, &rows);
	if (st != STATUS_OK)
		return st;
	reply->has_team = true;
	reply->team = (pb_TeamView){
		.id = made->team_id,
		.name = rq->name,
		.slug = rq->slug,
		.description = (char *)team_text(rq->description),
		.icon = (char *)team_text(rq->icon),
		.owner_id = owner,
		.joining = rq->joining == 0 ? JOINING_OPEN : rq->joining,
		.public_read = rq->public_read,
		.base_role_id = db_id(&rows, 0, 0),
		.base_group_id = made->group_id,
		.created_at_ms = (uint64_t)c->now_ms,
	};
	pb_TeamView *team = &reply->team;
	st = insert_team(c, team, base);
	if (st != STATUS_OK)
		return st;

	audience_key(key, "team", team->id);
	st = change_audience(c, s, owner, key, NULL, &seq);
	if (st == STATUS_OK)
		st = rows_join(c, team->id, owner, 0, seq);
	if (st == STATUS_OK)
		st = rows_count_members(c, team->id, 1, &team->member_count);
	if (st == STATUS_OK)
		st = rows_put_people(c);
	if (st != STATUS_OK)
		return st;
	const pb_RoleView base_role = {.id = team->base_role_id,
		.team_id = team->id,
		.name = "everyone",
		.has_permissions = true,
		.permissions = {base.low, base.high},
		.is_base = true,
		.created_at_ms = team->created_at_ms};
	pb_Event *ev = change_event(c, EVENT_KIND_team_created);
	ev->body.team_created = (pb_TeamCreated){.has_team = true,
		.team = *team,
		.has_base_role = true,
		.base_role = base_role,
		.has_base_group = true,
		.base_group = {.id = team->base_group_id, .team_id = team->id, .name = team->name, .is_base = true}};
	log_tx_object(tx, team->id);
	st = change_append(c, s, key, ev, NULL);
	if (st == STATUS_OK)
		st = change_append_user(c, owner, ev);
	if (st == STATUS_OK && made->crust)
		st = make_admins(c, &base_role);
	return st;
}

void serve_create_team(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct creation made = {0};
	struct change c = {.service = service,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare_create_team,
		.work = work_create_team,
		.data = &made};
	change_run(&c);
}

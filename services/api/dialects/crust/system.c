/*
 * system - the neighbour of messaging: signing in and out, who people are, and which roles there are. No more than crust's own web pages
 * need (docs/dialects/crust.md, "System").
 */
#include "services/api/accounts.h"
#include "services/api/dialects/crust/crust.h"
#include "services/api/sessions.h"
#include "services/api/tokens.h"

#define ROUTE(method, path, auth, scope, cost, handler) static route_handler handler;
#include "services/api/dialects/crust/system_routes.tbl.h"
#undef ROUTE
static const struct route routes[] = {
#define ROUTE(method, path, auth, scope, cost, handler)                                                      \
	{method, path, AUTH_##auth, SCOPE_##scope, COST_##cost, handler, #handler},
#include "services/api/dialects/crust/system_routes.tbl.h"
#undef ROUTE
};

const struct mount crust_system_mount = {
	.name = "crust",
	.path = "/crust/system",
	.host = crust_own_host,
	.host_path = "/system",
	.routes = routes,
	.route_count = sizeof routes / sizeof *routes,
	.bodies = BODY_JSON | BODY_FORM,
	.cors = &crust_cors,
	.either_slash = true,
	.path_id = markup_id_decimal,
	.token = crust_token,
	.admit = crust_admit,
	.refuse = crust_refuse,
	.decorate = crust_decorate,
};

/* ---- people */

#define HIDDEN_EMAIL "####.#######@######.###" /* how this service spells what is not for the reader */
#define USERS_MOST   1000
#define PAGE         100
#define IDS_AT_ONCE  200

static const char *name_of(const pb_UserView *user)
{
	return user->display_name != NULL ? user->display_name : user->username;
}

/* The members of a user, for one more to follow. email: NULL is hidden. */
static void write_user(struct json_writer *w, const pb_UserView *user, const char *email)
{
	jw_key(w, "userID");
	crust_id(w, user->id);
	jw_kv(w, str, "username", user->username != NULL ? user->username : "");
	jw_kv(w, str, "email", email != NULL ? email : HIDDEN_EMAIL);
	jw_kv(w, str, "name", name_of(user) != NULL ? name_of(user) : "");
	jw_kv(w, str, "handle", user->username != NULL ? user->username : "");
	jw_kv(w, str, "kind", user->bot ? "bot" : "");
	jw_key(w, "meta");
	jw_object(w);
	if (user->avatar != NULL)
		jw_kv(w, str, "avatar", user->avatar);
	jw_object_end(w);
	jw_key(w, "createdAt");
	crust_time(w, user->created_at_ms);
}

/* ---- roles */

#define ROLE_EVERYONE 1
#define ROLE_ADMINS   2

/* The oldest role with administrator is 2 here. */
static uint64_t role_number(uint64_t role_id, const pb_MountTeamReply *team)
{
	return role_id == team->admins_role_id ? ROLE_ADMINS : role_id;
}

/* The actor's. */
static void write_roles(struct json_writer *w, const pb_MountTeamReply *team)
{
	jw_array(w);
	for (size_t i = 0; i < team->role_ids_count; i++)
		crust_id(w, role_number(team->role_ids[i], team));
	jw_array_end(w);
}

static enum status ask_team(struct exchange *x, pb_MountTeamReply *out)
{
	return ASK(x, moderation, get_mount_team, x->actor.id, &((pb_MountTeamRequest){.dialect = DIALECT_CRUST}), out);
}

/* All of the team: the panel of permissions begins with them. */
static enum status roles_list(struct exchange *x)
{
	pb_MountTeamReply team = {0};
	pb_RolesReply reply;
	struct json_writer w;
	enum status st = ask_team(x, &team);

	if (st == STATUS_OK)
		st = ASK(x, moderation, list_roles, x->team_id, &((pb_ListRolesRequest){.team_id = x->team_id}), &reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	jw_object(&w);
	jw_key(&w, "filter");
	jw_object(&w);
	jw_object_end(&w);
	jw_key(&w, "set");
	jw_array(&w);
	for (size_t i = 0; i < reply.roles_count; i++) {
		const pb_RoleView *role = &reply.roles[i];
		uint64_t number = role->is_base ? ROLE_EVERYONE : role_number(role->id, &team);
		jw_object(&w);
		jw_key(&w, "roleID");
		crust_id(&w, number);
		jw_kv(&w, str, "name", role->name);
		jw_kv(&w, str, "handle", number == ROLE_EVERYONE ? "everyone" : number == ROLE_ADMINS ? "admins" : "");
		jw_key(&w, "createdAt");
		crust_time(&w, role->created_at_ms);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	return crust_finish(x, &w);
}

/* Later pages read the settings here; they are those of messaging. */
static enum status settings_current(struct exchange *x)
{
	return crust_settings_current(x);
}

/* ---- signing in and out */

/* A page of this kind asks before it shows its form: with a password one signs in, and that is all. */
static enum status auth_settings(struct exchange *x)
{
	static const char *const no[] = {"externalEnabled", "internalPasswordResetEnabled", "internalSignUpEmailConfirmationRequired",
		"internalSignUpEnabled"};
	struct json_writer w;

	crust_response(x, &w);
	jw_object(&w);
	jw_kv(&w, bool, "internalEnabled", true);
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		jw_kv(&w, bool, no[i], false);
	jw_key(&w, "externalProviders");
	jw_array(&w);
	jw_array_end(&w);
	jw_object_end(&w);
	return crust_finish(x, &w);
}

static enum status answer_signed_in(struct exchange *x, const char *token)
{
	struct account_own own;
	struct json_writer w;
	pb_MountTeamReply team = {0};
	enum status st = accounts_get_own(x->api, x->mem, x->actor.id, x->deadline_mono_ms, &own);

	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	/* Who may not come in is told so by the first call of messaging, not by signing in. */
	st = ask_team(x, &team);
	if (st != STATUS_OK && st != STATUS_NO_ACCESS)
		return st;
	crust_response(x, &w);
	jw_object(&w);
	jw_kv(&w, str, "jwt", token);
	jw_key(&w, "user");
	jw_object(&w);
	write_user(&w, &own.view, own.email != NULL ? own.email : "");
	jw_key(&w, "roles");
	write_roles(&w, &team);
	jw_object_end(&w);
	jw_object_end(&w);
	return crust_finish(x, &w);
}

static enum status auth_check(struct exchange *x)
{
	return answer_signed_in(x, crust_token(x));
}

static enum status auth_logout(struct exchange *x)
{
	enum status st = sessions_revoke(x->api, x->mem, exchange_context(x, true), x->actor.session_id, &x->outcome);

	return st == STATUS_OK ? crust_ok(x) : st;
}

static enum status auth_login(struct exchange *x)
{
	struct session_opened *opened = ARENA_NEW(x->mem, struct session_opened);
	struct token_answer *who = ARENA_NEW(x->mem, struct token_answer);
	struct crust_params p;
	const char *why = NULL;

	crust_params(x, &p, CRUST_BODY);
	const char *login = crust_param(&p, "email"), *password = crust_param(&p, "password");
	enum status st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	struct session_new fields = {.login = crust_trimmed(x->mem, login),
		.password = password != NULL ? password : "",
		.client_label = "crust",
		.agent = http_request_header(x->rq, "User-Agent"),
		.address = x->rq->remote,
		.dialect = DIALECT_CRUST};
	st = exchange_guess_name(x, fields.login);
	if (st == STATUS_OK)
		st = sessions_open(x->api, x->mem, exchange_context(x, true), &fields, opened, &x->outcome);
	if (st != STATUS_OK)
		return st;
	st = tokens_resolve(x->api->tokens, x->mem, opened->token, true, x->deadline_mono_ms, who, &why);
	if (st != STATUS_OK)
		return exchange_fail(x, st, why, NULL, NULL);
	x->actor = (struct actor){.account = &who->account,
		.id = who->account.id,
		.epoch = who->epoch,
		.session_id = who->session_id,
		.scopes = who->scopes,
		.client_label = who->client_label,
		.generation = who->generation};
	return answer_signed_in(x, opened->token);
}

/* ---- listing */

struct asked {
	const char *query;
	uint64_t *ids;
	size_t id_count; /* distinct ones */
	bool by_id;
	uint32_t limit;
};

static void write_users(struct json_writer *w, const pb_UserView *users, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		jw_object(w);
		write_user(w, &users[i], NULL);
		jw_object_end(w);
	}
}

static enum status write_by_id(struct exchange *x, struct json_writer *w, const struct asked *a)
{
	for (size_t from = 0; from < a->id_count && from < a->limit; from += IDS_AT_ONCE) {
		size_t count = a->id_count - from < IDS_AT_ONCE ? a->id_count - from : IDS_AT_ONCE;
		pb_UserView *users = NULL;
		enum status st = accounts_get_many(
			x->api, x->mem, a->ids + from, count, x->deadline_mono_ms, &users, NULL, &count);
		if (st != STATUS_OK)
			return exchange_fail(x, st, NULL, NULL, NULL);
		write_users(w, users, count);
	}
	return STATUS_OK;
}

static enum status write_members(struct exchange *x, struct json_writer *w, const struct asked *a)
{
	pb_ListMembersRequest request = {.team_id = x->team_id, .named = (char *)a->query};
	pb_ListMembersReply reply = {.more = true};
	uint32_t written = 0;

	while (reply.more && written < a->limit) {
		request.limit = a->limit - written < PAGE ? a->limit - written : PAGE;
		enum status st = ASK(x, moderation, list_members, x->team_id, &request, &reply);
		if (st != STATUS_OK)
			return st;
		for (size_t i = 0; i < reply.members_count; i++, written++) {
			jw_object(w);
			write_user(w, &reply.members[i].user, NULL);
			jw_object_end(w);
		}
		if (reply.members_count == 0)
			break;
		request.after = reply.members[reply.members_count - 1].user.id;
	}
	return STATUS_OK;
}

/* Those asked for by id, or who is in the team: all, or those with that in their name. */
static enum status users_list(struct exchange *x)
{
	struct crust_params p;
	struct json_writer w;
	struct asked a;

	crust_params(x, &p, CRUST_QUERY);
	a.query = crust_trimmed(x->mem, crust_param(&p, "query"));
	size_t asked = crust_param_ids(&p, "userID", &a.ids);
	a.by_id = asked > 0;
	a.id_count = crust_distinct(a.ids, asked);
	uint32_t limit = crust_param_number(&p, "limit"), per_page = crust_param_number(&p, "perPage");
	enum status st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	a.limit = limit != 0 ? limit : per_page;
	if (a.limit == 0 || a.limit > USERS_MOST)
		a.limit = USERS_MOST;
	crust_response(x, &w);
	jw_object(&w);
	jw_key(&w, "filter");
	jw_object(&w);
	jw_key(&w, "userID");
	crust_ids(&w, a.ids, a.id_count);
	jw_kv(&w, str, "query", a.query);
	jw_kv(&w, u64, "limit", limit);
	jw_kv(&w, u64, "perPage", per_page);
	jw_object_end(&w);
	jw_key(&w, "set");
	jw_array(&w);
	st = a.by_id ? write_by_id(x, &w, &a) : write_members(x, &w, &a);
	if (st != STATUS_OK)
		return st;
	jw_array_end(&w);
	jw_object_end(&w);
	return crust_finish(x, &w);
}

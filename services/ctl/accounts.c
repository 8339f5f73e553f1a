/*
 * accounts - user create, user disable, token create, team create: calls to the owners as the system, or as the owner of the
 * team that is made.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/events/kinds.h"
#include "common/rpc/stubs.h"
#include "services/ctl/commands.h"

#define DAYS_MOST 3650

static void write_account(struct json_writer *w, const pb_UserView *account)
{
	jw_kv(w, uuid, "id", account->id);
	jw_kv(w, str, "username", account->username);
	jw_kv(w, bool, "disabled", account->disabled);
	jw_kv(w, time, "created_at", (int64_t)account->created_at_ms);
}

static void print_account(struct ctl *ctl, const pb_UserView *account)
{
	struct json_writer w;

	jw_begin(&w, ctl->mem, 256);
	jw_object(&w);
	write_account(&w, account);
	jw_object_end(&w);
	ctl_print_object(&w);
}

enum ctl_exit user_create_command(struct ctl *ctl, int argc, char **argv)
{
	const char *name = NULL, *file = NULL, *email = NULL, *password = NULL;
	bool from_stdin = false;
	const struct ctl_option options[] = {
		{"--email", CTL_TEXT, &email, 0, 0},
		{"--password-file", CTL_TEXT, &file, 0, 0},
		{"--password-stdin", CTL_FLAG, &from_stdin, 0, 0},
	};
	pb_CreateAccountRequest rq = pb_CreateAccountRequest_init_zero;
	pb_CreateAccountReply reply;
	struct rpc_outcome outcome;
	struct rpc_client *api;
	struct rpc_context ctx;
	char uuid[IDS_UUID_SIZE];
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 3, 1, 1, &name, NULL);

	if (rc == CTL_OK)
		rc = ctl_read_secret(ctl, "password", from_stdin, file, &password);
	if (rc != CTL_OK)
		return rc;
	api = ctl_peer(ctl, "api");
	if (api == NULL)
		return CTL_FAILED;
	rq.username = (char *)name;
	rq.password = (char *)password;
	rq.email = (char *)email;
	ctx = ctl_context(ctl, true);
	if (api_create_account(api, ctl->mem, &ctx, &rq, &reply, &outcome) != STATUS_OK)
		return ctl_fail_call(ctl, "api", name, &outcome);
	if (ctl->json) {
		print_account(ctl, &reply.account);
	} else {
		ids_to_uuid(reply.account.id, uuid);
		printf("account %s made, id %s\n", reply.account.username, uuid);
	}
	return CTL_OK;
}

enum ctl_exit user_disable_command(struct ctl *ctl, int argc, char **argv)
{
	const char *name = NULL;
	bool enable = false;
	const struct ctl_option options[] = {{"--enable", CTL_FLAG, &enable, 0, 0}};
	pb_DisableAccountRequest rq = pb_DisableAccountRequest_init_zero;
	pb_DisableAccountReply reply;
	struct rpc_outcome outcome;
	struct rpc_client *api;
	struct rpc_context ctx;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 1, 1, 1, &name, NULL);

	if (rc != CTL_OK)
		return rc;
	api = ctl_peer(ctl, "api");
	if (api == NULL)
		return CTL_FAILED;
	rq.username = (char *)name;
	rq.disabled = !enable;
	ctx = ctl_context(ctl, true);
	if (api_disable_account(api, ctl->mem, &ctx, &rq, &reply, &outcome) != STATUS_OK)
		return ctl_fail_account(ctl, name, &outcome);
	if (ctl->json)
		print_account(ctl, &reply.account);
	else
		printf("account %s is %s\n", reply.account.username,
			enable ? "enabled; its sessions and tokens did not come back" : "disabled; its sessions and tokens have ended");
	return CTL_OK;
}

enum ctl_exit token_create_command(struct ctl *ctl, int argc, char **argv)
{
	const char *user = NULL, *label = NULL, *dialect = "house";
	int64_t days = -1;
	const struct ctl_option options[] = {
		{"--days", CTL_NUMBER, &days, 0, DAYS_MOST},
		{"--dialect", CTL_TEXT, &dialect, 0, 0},
		{"--label", CTL_TEXT, &label, 0, 0},
		{"--user", CTL_TEXT, &user, 0, 0},
	};
	pb_CreateTokenRequest rq = pb_CreateTokenRequest_init_zero;
	pb_SessionReply reply;
	struct rpc_outcome outcome;
	struct rpc_client *api;
	struct rpc_context ctx;
	struct json_writer w;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 4, 0, 0, NULL, NULL);

	if (rc != CTL_OK)
		return rc;
	if (user == NULL)
		return ctl_misuse(ctl, "whose token? --user NAME");
	bool crust = strcmp(dialect, "crust") == 0;
	if (!crust && strcmp(dialect, "house") != 0)
		return ctl_misuse(ctl, "there are no tokens for the dialect %s; only house and crust", dialect);
	if (days < 0)
		days = crust ? ctl->config.crust_session_days : 0;
	api = ctl_peer(ctl, "api");
	if (api == NULL)
		return CTL_FAILED;
	rq.username = (char *)user;
	rq.client_label = (char *)label;
	rq.days = (uint32_t)days;
	rq.dialect = crust ? DIALECT_CRUST : DIALECT_HOUSE;
	ctx = ctl_context(ctl, true);
	if (api_create_token(api, ctl->mem, &ctx, &rq, &reply, &outcome) != STATUS_OK)
		return ctl_fail_account(ctl, user, &outcome);
	if (!ctl->json) {
		/* Only the token on stdout: TOKEN=$(guildhallctl token create ...) */
		ctl_note(ctl, "token of %s%s; it is not shown again", reply.account.username,
			reply.expires_at_ms == 0 ? ", without an end" : "");
		printf("%s\n", reply.token);
		return CTL_OK;
	}
	jw_begin(&w, ctl->mem, 512);
	jw_object(&w);
	jw_kv(&w, str, "token", reply.token);
	jw_kv(&w, uuid, "session_id", reply.session_id);
	jw_kv(&w, time, "expires_at", (int64_t)reply.expires_at_ms);
	jw_key(&w, "user");
	jw_object(&w);
	write_account(&w, &reply.account);
	jw_object_end(&w);
	jw_object_end(&w);
	ctl_print_object(&w);
	return CTL_OK;
}

/* What a fresh installation of crust has. The system's: they are nobody's own. */
static enum ctl_exit make_first_channels(struct ctl *ctl, uint64_t team_id)
{
	static const char *const names[] = {"General", "Random"};
	struct rpc_client *messaging = ctl_peer(ctl, "messaging");
	pb_CreateChannelRequest rq = {.team_id = team_id, .kind = CHANNEL_TEXT};
	pb_MessagingReply_call_create_channel_MSGTYPE reply;
	struct rpc_outcome outcome;

	if (messaging == NULL)
		return CTL_FAILED;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct rpc_context ctx = ctl_context(ctl, true);
		rq.name = (char *)names[i];
		if (messaging_create_channel(messaging, ctl->mem, &ctx, &rq, &reply, &outcome) != STATUS_OK)
			return ctl_fail_call(ctl, "messaging", names[i], &outcome);
	}
	return CTL_OK;
}

enum ctl_exit team_create_command(struct ctl *ctl, int argc, char **argv)
{
	const char *name = NULL, *owner_name = NULL, *joining = NULL, *template = "standard", *slug = NULL;
	const struct ctl_option options[] = {
		{"--joining", CTL_TEXT, &joining, 0, 0},
		{"--owner", CTL_TEXT, &owner_name, 0, 0},
		{"--slug", CTL_TEXT, &slug, 0, 0},
		{"--template", CTL_TEXT, &template, 0, 0},
	};
	pb_CreateTeamRequest rq = pb_CreateTeamRequest_init_zero;
	pb_TeamReply reply;
	pb_UserView owner;
	struct rpc_outcome outcome;
	struct rpc_client *moderation;
	struct rpc_context ctx;
	struct json_writer w;
	char uuid[IDS_UUID_SIZE];
	uint64_t epoch = 0;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 4, 1, 1, &name, NULL);

	if (rc != CTL_OK)
		return rc;
	if (owner_name == NULL)
		return ctl_misuse(ctl, "who owns it? --owner USER");
	bool crust = strcmp(template, "crust") == 0;
	if (!crust && strcmp(template, "standard") != 0)
		return ctl_misuse(ctl, "--template is standard or crust");
	if (joining == NULL)
		joining = crust ? "open" : "invite";
	if (!joining_from_word(joining, &rq.joining) || rq.joining == JOINING_APPLICATION)
		return ctl_misuse(ctl, "--joining is open or invite");
	rc = ctl_find_account(ctl, owner_name, &owner, &epoch);
	if (rc != CTL_OK)
		return rc;
	moderation = ctl_peer(ctl, "moderation");
	if (moderation == NULL)
		return CTL_FAILED;
	rq.name = (char *)name;
	rq.template = (char *)template;
	rq.slug = (char *)slug;
	ctx = ctl_context(ctl, true);
	ctx.actor_id = owner.id;
	ctx.actor_epoch = epoch;
	ctx.actor = &owner;
	if (moderation_create_team(moderation, ctl->mem, &ctx, &rq, &reply, &outcome) != STATUS_OK)
		return ctl_fail_call(ctl, "moderation", name, &outcome);
	if (crust)
		rc = make_first_channels(ctl, reply.team.id);
	if (rc != CTL_OK)
		return rc;
	if (!ctl->json) {
		ids_to_uuid(reply.team.id, uuid);
		printf("team %s made, id %s, owner %s\n", reply.team.name, uuid, owner.username);
		return CTL_OK;
	}
	jw_begin(&w, ctl->mem, 256);
	jw_object(&w);
	jw_kv(&w, uuid, "id", reply.team.id);
	jw_kv(&w, str, "name", reply.team.name);
	jw_kv(&w, uuid, "owner_id", owner.id);
	jw_kv(&w, str, "joining", joining_word(reply.team.joining));
	jw_kv(&w, time, "created_at", (int64_t)reply.team.created_at_ms);
	jw_object_end(&w);
	ctl_print_object(&w);
	return CTL_OK;
}

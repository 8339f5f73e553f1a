/*
 * client_token - see client_parts.h: whose client it is. Its token is asked about until there is an answer or the time for it is over, and
 * the stream of its user is watched before anything is said: from then on a revocation is seen.
 */
#include "services/gateway/client_parts.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/ops/ops.h"
#include "services/gateway/limits.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"

#define TOKEN_RETRY_MS 250

struct token_question {
	struct question question;
	struct client *client; /* NULL: it went */
};

static void token_forget(struct client *client)
{
	if (client->token == NULL)
		return;
	sodium_memzero(client->token, strlen(client->token));
	free(client->token);
	client->token = NULL;
}

static void token_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why);

static void token_ask(struct client *client)
{
	struct hub *hub = client->hub;
	struct token_question *asked = memory_new(sizeof *asked);

	*asked = (struct token_question){.question.answered = token_answered, .client = client};
	client->asking = &asked->question;
	hub->options.ports->ask_token(
		hub->options.arg, hub_ask(hub, &asked->question), client->token, client->dialect->id);
}

void client_token_retry(struct timer *timer, int64_t now_mono_ms)
{
	token_ask(memory_holder(timer, struct client, retry));
}

void client_authenticate(struct client *client, const char *token)
{
	assert(client->state == CLIENT_CONNECTING);
	client->token = memory_text(token);
	client_state_set(client, CLIENT_AUTHENTICATING);
	token_ask(client);
}

/* From here on a revocation is seen. */
static void own_stream_settled(struct client *client, struct stream s, struct member *member, enum status st)
{
	if (member == NULL) {
		client_close(client, CLOSE_UNAVAILABLE, true);
		return;
	}
	token_forget(client);
	client_ready(client);
	client_is_there(client);
	client->dialect->authenticated(client);
}

/* The stream has gone on since the token was looked at. */
static void token_again(struct client *client)
{
	if (client->asking == NULL && !timer_running(&client->retry))
		token_ask(client);
}

static void token_is_good(struct client *client, const pb_ResolveTokenReply *got)
{
	struct stream own = STREAM_USER(got->account.id);
	struct member *member = NULL;
	struct socket_limits *limits = client->hub->options.limits;

	if (limits != NULL && !client->counted) {
		if (!limits_account_enter(limits, got->account.id)) {
			metric_add(ws_refused_account_sockets, 1);
			client_close(client, CLOSE_TOO_MANY_SOCKETS, true);
			return;
		}
		client->counted = true;
	}
	client->session_id = got->session_id;
	client->epoch = got->epoch;
	client->generation = got->generation;
	client->expires_at_ms = (int64_t)got->expires_at_ms;
	client->may_write = got->may_write;
	if (client->user == NULL) {
		client_user_join(client, &got->account);
		member = open_stream(client, own, OPEN_BY_TOKEN, own_stream_settled);
		member->opening->again = token_again;
	} else {
		member = member_find(client, own);
	}
	if (member != NULL && member->opening != NULL)
		opening_answer(member->opening, NULL, got->user_stream_seq, 0);
}

static void token_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct token_question *asked = (struct token_question *)question;
	struct client *client = asked->client;

	free(asked);
	if (client == NULL)
		return;
	client->asking = NULL;
	switch (st) {
	case STATUS_OK: {
		const pb_ResolveTokenReply *got = reply;
		/* The place in the user's own stream is of a log that the bus has yet to speak of, or no more. */
		if (!open_mark_fits(hub, got->generation))
			wheel_start(&hub->wheel, &client->retry, hub->now_mono_ms + TOKEN_RETRY_MS);
		else if (got->has_account && got->account.id != 0 &&
			(client->user == NULL || client->user->id == got->account.id))
			token_is_good(client, got);
		else
			client_close(client, CLOSE_BAD_TOKEN, true);
		return;
	}
	case STATUS_BUSY:
	case STATUS_LATE:
	case STATUS_INTERNAL:
	case STATUS_STALE:
	case STATUS_RATE_LIMITED:
		/* Held until the deadline of authentication. */
		wheel_start(&hub->wheel, &client->retry, hub->now_mono_ms + TOKEN_RETRY_MS);
		return;
	case STATUS_FORBIDDEN: /* a good token, but not for this */
		client_close(client, CLOSE_NO_SCOPE, true);
		return;
	case STATUS_MALFORMED:
	case STATUS_FIELD_INVALID:
	case STATUS_WRONG_CREDENTIALS:
	case STATUS_UNAUTHENTICATED:
	case STATUS_NO_ACCESS:
	case STATUS_TIMED_OUT:
	case STATUS_MUTED:
	case STATUS_BLOCKED:
	case STATUS_NOT_FOUND:
	case STATUS_NO_ROUTE:
	case STATUS_WRONG_METHOD:
	case STATUS_CONFLICT:
	case STATUS_ARCHIVED:
	case STATUS_AT_LIMIT:
	case STATUS_FULL:
	case STATUS_TOO_LARGE:
	case STATUS_BAD_MEDIA:
	case STATUS_SLOW_MODE:
	case STATUS_CURSOR_TOO_OLD:
	case STATUS_NOT_IMPLEMENTED:
	case STATUS_COUNT:
		client_close(client,
			why != NULL && strcmp(why, "disabled") == 0 ? CLOSE_DISABLED : CLOSE_BAD_TOKEN, true);
		return;
	}
}

void client_token_drop(struct client *client)
{
	if (client->asking != NULL) {
		((struct token_question *)client->asking)->client = NULL;
		client->asking = NULL;
	}
	wheel_stop(&client->hub->wheel, &client->retry);
	token_forget(client);
}

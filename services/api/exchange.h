/*
 * exchange - one HTTP request being answered, whichever dialect it speaks. The core (serve.c) finds the
 * route, the person and the limits; the dialect's handler decodes, calls, renders. Everything lives in the
 * request's arena. One worker thread.
 *
 * A handler returns STATUS_OK with the response filled, or another status with `outcome` saying more; it
 * fills nothing then, and the dialect's refuse() renders the status. It may be run a second time when the
 * token had to be resolved anew.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/ids.h"
#include "common/events/markup.h"
#include "common/http/http.h"
#include "common/rpc/stubs.h"
#include "services/api/api.h"
#include "services/api/idempotency.h"
#include "services/api/limits.h"
#include "services/api/router.h"

struct exchange;
struct upload;

/* What the body of a request may be; one without a type is read as JSON, because simple clients leave it out. */
enum mount_body { BODY_JSON = 1, BODY_FORM = 2, BODY_MULTIPART = 4 };

/* What pages of any origin are told: theirs is echoed, with credentials. headers are those that they may send, exposed those of answers that
 * they may read (Fetch, "CORS protocol"; a few others always are). */
struct mount_cors {
	const char *methods, *headers, *exposed, *max_age_s;
};

struct mount {
	const char *name;
	const char *path; /* "/v1" */
	/* The host that is its own, "" when none is set, and where it lies there, "" being the root; host NULL: it has none. */
	const char *(*host)(const struct config *config);
	const char *host_path;
	const struct route *routes;
	size_t route_count;
	unsigned bodies;               /* enum mount_body, or-ed */
	const struct mount_cors *cors; /* NULL: no page of another origin may call */
	bool either_slash;             /* "/x" and "/x/" are one path */
	markup_id_fn *path_id;         /* how ids are spelled in paths */
	uint32_t kinds;                /* of channels that it can show: RpcHeader.served_kinds; 0: all */
	const char *(*token)(struct exchange *x); /* what the client shows, or NULL */
	/* Whether who is signed in may come in here at all, asked before every handler; NULL: everybody. */
	enum status (*admit)(struct exchange *x);
	/* Renders outcome; any time after the dialect is known. */
	void (*refuse)(struct exchange *x, enum status status);
	/* Headers that every response has; last. */
	void (*decorate)(struct exchange *x);
};

/* Who asks. account is borrowed from mem. */
struct actor {
	const pb_UserView *account; /* NULL: nobody */
	uint64_t id, epoch, session_id;
	uint64_t scopes; /* what the token may be used for: scopes.h */
	const char *client_label;
	uint64_t generation; /* of the log under which epoch was read */
};

struct exchange {
	struct api *api;
	struct arena *mem;
	const struct http_request *rq;
	struct http_response *rs;
	const struct mount *mount;
	const char *path; /* below the mount */
	struct route_match match;
	const char *allow; /* on STATUS_WRONG_METHOD */
	struct actor actor;
	char trace[IDS_TRACE_SIZE];
	int64_t deadline_mono_ms;
	struct limit_state limit; /* the one that is nearest to its end */
	uint64_t team_id;         /* of a mount that serves one team, once admit has said yes */

	uint8_t request_id[REQUEST_ID_BYTES]; /* of this change */
	uint8_t body_hash[REQUEST_HASH_BYTES];
	bool has_body_hash;
	const char *key_field; /* what the client named this change by, or NULL: the field to blame for
				  another body under it */

	struct upload *upload; /* what came, when the handler runs a second time: a body is read once (files.h) */

	struct rpc_context call;    /* as exchange_context left it */
	struct rpc_outcome outcome; /* of the latest call, or what exchange_fail said */
};

/* Records why and returns st. Strings are borrowed until the response is written. */
enum status exchange_fail(
	struct exchange *x, enum status st, const char *why, const char *field, const char *detail);

/*
 * exchange_limit - takes one from the bucket of (class, key_a, key_b): burst at once, and burst more in period_ms,
 * for all copies of api together. The answer's headers tell of the bucket that is nearest to its end.
 *
 * STATUS_OK; STATUS_RATE_LIMITED with outcome, and the headers are this bucket's.
 */
enum status exchange_limit(struct exchange *x, enum limit_class class_, uint64_t key_a, uint64_t key_b,
	int64_t burst, int64_t period_ms);
/* One post more of this session in the channel. */
enum status exchange_limit_posts(struct exchange *x, uint64_t channel_id);
/* The refusal by a bucket that was found empty. Returns STATUS_RATE_LIMITED. */
enum status exchange_limited(struct exchange *x, enum limit_class class_, const struct limit_state *state);
/* Counts an attempt at the password of the actor's own account, so that a stolen token is no way to guess it.
 * STATUS_RATE_LIMITED. */
enum status exchange_guess(struct exchange *x);
/* The same for the name that a login gives, whether there is such an account or not. */
enum status exchange_guess_name(struct exchange *x, const char *login);

/*
 * For secrets that many may try, such as the codes of invites: only wrong ones are counted, by account and by address,
 * with the limit of logins. exchange_may_try before the secret is looked at (STATUS_RATE_LIMITED), exchange_tried_wrong
 * when it was none.
 */
enum status exchange_may_try(struct exchange *x);
void exchange_tried_wrong(struct exchange *x);

/* On whose behalf and until when, for a call of this exchange. writes: with the request id. */
const struct rpc_context *exchange_context(struct exchange *x, bool writes);
/* The next writing call is a further step of the same change, at another owner. */
void exchange_next_step(struct exchange *x, const char *step);

/* A place among the workers that may wait for this owner, or false with outcome BUSY. */
bool exchange_enter(struct exchange *x, enum owner owner, uint64_t pick, bool writes);
enum status exchange_leave(struct exchange *x, enum owner owner, enum status st);

/*
 * CALL - a writing call of an owner (with this change's request id); ASK - a reading one.
 *
 * owner, arm  messaging, moderation or presence, and the arm of its oneof
 * pick        the id whose stream it concerns (the peer is chosen by it, for speed only), or 0
 *
 * Gives the call's status; x->outcome has the rest.
 */
#define CALL(x, owner, arm, pick, request, out_reply)                                                        \
	EXCHANGE_CALL_(x, owner, arm, pick, true, request, out_reply)
#define ASK(x, owner, arm, pick, request, out_reply)                                                         \
	EXCHANGE_CALL_(x, owner, arm, pick, false, request, out_reply)
#define EXCHANGE_CALL_(x, owner, arm, pick, writes, request, out_reply)                                      \
	(exchange_enter((x), OWNER_##owner, (pick), (writes))                                                \
			? exchange_leave((x), OWNER_##owner,                                                 \
				  owner##_##arm((x)->api->owners[OWNER_##owner].client, (x)->mem,            \
					  &(x)->call, (request), (out_reply), &(x)->outcome))                \
			: STATUS_BUSY)

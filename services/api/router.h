/*
 * router - which handler answers a method and a path. Tables are routes.tbl.h of each dialect; templates are
 * segments; {name} takes one whole segment, "preview.{name}" what follows there of one. Pure.
 */
#pragma once

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/status.h"

struct exchange;
typedef enum status route_handler(struct exchange *x);

enum route_auth {
	AUTH_NONE,    /* anybody */
	AUTH_SESSION, /* a token of an account */
	AUTH_SIGNED,  /* what the path and the query say of themselves: who shows something wrong is a stranger */
};

/* What a bot's token must hold; the bits of its scopes are 1 << (scope - 1). */
enum route_scope {
	SCOPE_NONE,
#define SCOPE(bit, scope, word, text) SCOPE_##scope = (bit) + 1,
#include "services/api/scopes.tbl.h"
#undef SCOPE
	SCOPE_ACCOUNT = 64, /* only a person's session */
};

enum route_cost {
	COST_READ,
	COST_WRITE, /* changes something: gets a request id */
	COST_POST,  /* a write that also counts as a post to the channel in the path's {channel} */
	COST_UPLOAD, /* a write whose body is large: it is read as it comes (files.h) */
	/* Guessing, registering: limited by address. Their bodies hold a password and are never hashed or kept. */
	COST_LOGIN,
	COST_REGISTER,
};

struct route {
	const char *method;
	const char *path; /* below the dialect's mount, "/channels/{channel}" */
	enum route_auth auth;
	enum route_scope scope;
	enum route_cost cost;
	route_handler *handler;
	const char *name; /* the handler's, for the description of the API */
};

#define ROUTE_PARAMS_MAX 4
struct route_match {
	const struct route *route;
	const char *names[ROUTE_PARAMS_MAX];  /* point into the template: up to '}' */
	const char *values[ROUTE_PARAMS_MAX]; /* decoded, in mem */
	size_t count;
};

/*
 * router_match - finds the row. HEAD is answered by GET's row. Of what fits, the first segment that differs decides: a literal one wins, then one with a beginning.
 *
 * path       below the mount, still percent-encoded; a trailing slash is another path
 * out_allow  on STATUS_WRONG_METHOD: the methods the path has, for the Allow header
 *
 * STATUS_OK, STATUS_NO_ROUTE, STATUS_WRONG_METHOD; STATUS_NOT_FOUND when a segment does not decode.
 */
enum status router_match(const struct route *routes, size_t count, struct arena *mem, const char *method,
	const char *path, struct route_match *out_match, const char **out_allow);

/* The value of {name}; NULL when the template has none. */
const char *route_param(const struct route_match *match, const char *name);

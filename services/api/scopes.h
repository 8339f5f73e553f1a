/*
 * scopes - what a token may be used for: a set of bits, one for each row of scopes.tbl.h. A bot's token has
 * what its owner gave it; a person's session has every bit, also that of SCOPE_ACCOUNT, which no bot ever
 * has. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "services/api/router.h"

#define SCOPE_BIT(scope) (UINT64_C(1) << ((unsigned)(scope)-1))

#define SCOPES_PERSON UINT64_MAX
/* Everything a bot may have. */
#define SCOPE(bit, scope, word, text) +SCOPE_BIT(SCOPE_##scope)
static const uint64_t SCOPES_BOT = 0
#include "services/api/scopes.tbl.h"
	;
#undef SCOPE

/* May a token with these bits use a route that asks for this scope? */
static inline bool scopes_allow(uint64_t scopes, enum route_scope scope)
{
	return scope == SCOPE_NONE || (scopes & SCOPE_BIT(scope)) != 0;
}

/* "read", ...; "account" for SCOPE_ACCOUNT. */
const char *scope_word(enum route_scope scope);
/* SCOPE_NONE when the word is none of the table's. */
enum route_scope scope_from_word(const char *word);

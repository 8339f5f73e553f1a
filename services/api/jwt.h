/*
 * jwt - tokens in the form of JSON web tokens (RFC 7519), as clients of crust know them: HS256 under one secret of the
 * installation, claims userID, exp, memberOf. Here they are only another spelling of a session's token: what a token says is
 * checked and then not used, and the session that it is the key of says whose it is and whether it still lives. Each holds 128
 * random bits (jti), so that no two are equal and nobody who has the secret can make one that is somebody's. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

#define JWT_TEXT_SIZE       512 /* what gateways take for a token */
#define JWT_MEMBER_OF_BYTES 200 /* more roles are left out: nobody reads them from the token */

/* expires_at_ms 0: none, which the token says as the end of the year 9999. member_of: role ids with a blank in between, or
 * NULL. */
void jwt_make(struct arena *mem, const char *secret, uint64_t user_id, int64_t expires_at_ms, const char *member_of,
	char out_text[JWT_TEXT_SIZE]);
/* Is it one of ours and not over? The algorithm is the one above, whatever the token says. */
bool jwt_holds(struct arena *mem, const char *secret, const char *text, int64_t now_ms);

/*
 * invites - codes that let somebody into a team. The code is the invite's id and all that is asked for: 128 random
 * bits, so that it cannot be guessed. An invite counts its uses under the lock of the team's stream and is gone when
 * somebody deletes it, when it has expired, and a day after its last use (expiry.c).
 */
#pragma once

#include "services/moderation/change.h"

#define INVITE_CODE_SIZE 23 /* 22 characters and NUL */

/* After its last use it is kept so long: a repeat of that use is answered. */
#define INVITE_USED_UP_KEPT_MS INT64_C(86400000)

/* The expiry job's way: deletes it if it has expired or was used up long enough ago. */
enum status invite_expire(struct moderation *service, struct arena *mem, const char *code);

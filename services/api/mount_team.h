/*
 * mount_team - the one team that a dialect without teams serves, and who comes in there. Moderation decides, and makes a member of who
 * comes to an open team. That somebody was let in is kept for a second, in a table of fixed size: it is asked before every call of such
 * a dialect, and what the call itself may do is judged by its owner in any case. A refusal is never kept. Thread-safe.
 */
#pragma once

#include "common/events/kinds.h"
#include "services/api/exchange.h"

struct mount_teams;

/* slots: people remembered at most. NULL when memory is out. */
struct mount_teams *mount_teams_create(size_t slots);
void mount_teams_destroy(struct mount_teams *teams);

/* For struct mount's admit: x->team_id becomes the team. STATUS_OK, STATUS_NO_ACCESS, and what a call ends with. */
enum status mount_team_admit(struct exchange *x, enum dialect dialect);

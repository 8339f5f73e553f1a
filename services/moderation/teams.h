/*
 * teams - a team as others in moderation show it.
 */
#pragma once

#include "services/moderation/change.h"

/* NOT_FOUND when there is no such row; a deleted team has one. */
enum status team_view_read(struct db_conn *conn, struct arena *mem, uint64_t team_id, pb_TeamView *out);
/* The same in work, under the lock of its stream. */
enum status team_view_locked(struct change *c, uint64_t team_id, pb_TeamView *out);

/* In work: the team of change_load ends, with its invites and its stream. */
enum status team_delete_write(struct change *c);

/* Of a request: the name of a field that is out of its bounds, or NULL. */
const char *team_bad_field(const char *name, const char *description, const char *icon, uint32_t joining);
/* An empty text is none. */
const char *team_text(const char *text);

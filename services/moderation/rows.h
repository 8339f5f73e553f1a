/*
 * rows - the statements on members, channel members and people that several changes share. All run in a
 * change's work, under the locks of its streams. changed_seq is the seq of the audience event; 0 leaves it
 * (the keys did not change).
 */
#pragma once

#include "services/moderation/change.h"

/* What this owner knows of people. Written only where something differs, so that no row is locked in passing.
 */
enum status rows_put_person(struct change *c, const pb_UserView *user);
/* The same for many; users may be sorted by it. */
enum status rows_put_users(struct change *c, const pb_UserView **users, size_t count);
/* The actor and the target whom the request described. */
enum status rows_put_people(struct change *c);

/* ---- team members */
/* Makes or renews the membership; a rejoin drops nickname and roles, and keeps a timeout. invited_by: or 0. */
enum status rows_join(struct change *c, uint64_t team_id, uint64_t user_id, uint64_t invited_by, uint64_t changed_seq);
/* Ends it, and his memberships of the team's channels. */
enum status rows_leave(struct change *c, uint64_t team_id, uint64_t user_id, uint64_t changed_seq);
/* Raises a member's epoch; one who never was a member gets a row of one who left, so that there is an epoch.
 */
enum status rows_raise(struct change *c, uint64_t team_id, uint64_t user_id, uint64_t changed_seq);
/* Have the first `count` targets of change_load_many still the epochs they were judged by? STATUS_STALE if not: the
 * committer compares only a few. */
enum status rows_epochs_hold(struct change *c, size_t count);
enum status rows_count_members(struct change *c, uint64_t team_id, int by, uint64_t *out_count);
/* Live memberships of an account. */
enum status rows_count_teams(struct change *c, uint64_t user_id, uint64_t *out_count);
enum status rows_team_rights_seq(struct change *c, uint64_t team_id, uint64_t seq);

/* ---- channel members */
enum status rows_channel_join(struct change *c, const struct facts *place, uint64_t user_id, uint32_t role);
/* A row of one who left, also where there was none: only a row ends what a creator is by himself. */
enum status rows_channel_leave(struct change *c, const struct facts *place, uint64_t user_id);

/* ---- views */
/* facts of a team (no channel): permissions are the team's. */
void member_view(const struct facts *f, struct arena *mem, pb_MemberView *out);
void channel_member_view(const struct facts *f, uint32_t role, pb_ChannelMemberView *out);

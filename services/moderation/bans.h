/*
 * bans - rows of moderation.bans, shared by bans from teams (bans.c), from channels (channel_bans.c) and
 * their expiry. A ban holds until lifted_at_ms is set; history is kept.
 */
#pragma once

#include "services/moderation/audit.h"

enum ban_scope { BAN_TEAM = 1, BAN_CHANNEL = 3 };

/* In prepare: reason and end are within bounds. */
enum status ban_request_check(struct change *c, const pb_BanRequest *rq);
/* In work: writes a new ban, or the changed reason and end of the one that holds, and fills the view. */
enum status ban_put(struct change *c, enum ban_scope scope, uint64_t team_id, const pb_BanRequest *rq,
	pb_BanView *out_view);
/*
 * In work: the ban that holds, for what is recorded of its change. out_same: the request would change nothing.
 */
struct ban_held {
	const char *reason;
	int64_t expires_at_ms;
};
enum status ban_held(struct change *c, enum ban_scope scope, const pb_BanRequest *rq, struct ban_held *out_held,
	bool *out_same);
/* In work, behind the events. channel_id: 0 for bans from teams; held: NULL for a new ban. */
enum status ban_record(struct change *c, enum audit_action action, uint64_t channel_id, const pb_BanRequest *rq,
	const struct ban_held *held);
/* In work: lifts it. out_lifted is false when none holds, or, with only_expired, when its end has not come.
 */
enum status ban_lift(
	struct change *c, enum ban_scope scope, const pb_BanRequest *rq, bool only_expired, bool *out_lifted);

/* The expiry job's way: unban requests of the system that lift only what has expired. */
enum status ban_expire_member(
	struct moderation *service, struct arena *mem, uint64_t team_id, uint64_t user_id);
enum status ban_expire_channel_user(
	struct moderation *service, struct arena *mem, uint64_t channel_id, uint64_t user_id);

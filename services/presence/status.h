/*
 * status - changes of custom statuses, all through the committer. A change writes the person's row and status_changed in
 * the person's stream and in the first CUSTOM_STATUS_TEAMS teams, in one commit; teams beyond wait in the row
 * (status_pending) and get their copy, with the same event_id, in further commits of as many: the keeper's work, so it
 * happens even when the process dies between two of them. Every commit that touches a person's row holds the
 * person's stream, so two copies of presence never wait for each other's rows.
 * Every function blocks; worker threads and the keeper only.
 */
#pragma once

#include <stdint.h>

#include "services/presence/people.h"
#include "services/presence/presence.h"

#define CUSTOM_STATUS_TEAMS 14  /* of one commit, beside the person's own stream; the log's bound is 16 streams */
#define CUSTOM_STATUS_TEXT  128 /* code points */
#define CUSTOM_STATUS_EMOJI 64

/* Sets (status with text or emoji) or clears (neither) the caller's status; the call's header says who. team_ids without
 * doubles. STATUS_BUSY, STATUS_STALE with why "session", and what the committer refuses. */
enum status status_change(struct presence *p, const struct rpc_call *call, const struct person_status *status,
	const uint64_t *team_ids, size_t team_count, struct commit_result *out_result);

/* The timer: clears a status that has run out, looked at again under the lock. view may be NULL. */
enum status status_expire(struct presence *p, struct arena *mem, const struct person_due *due, const uint8_t *view,
	size_t view_length);
/* The person is back: clears a status that ends with that. */
enum status status_end_away(struct presence *p, struct arena *mem, const struct person_due *due, const uint8_t *view,
	size_t view_length);
/* Writes the copies of at most CUSTOM_STATUS_TEAMS waiting teams. A team whose stream does not exist is dropped. */
enum status status_copy(struct presence *p, struct arena *mem, const struct person_due *due, const uint8_t *view,
	size_t view_length);

/* text, emoji, expires_at_ms of a request. STATUS_FIELD_INVALID with the field and a sentence. */
enum status status_validate(const struct person_status *status, int64_t now_wall_ms, const char **out_field,
	const char **out_detail);
/* Without doubles and zeros, ascending, into mem. */
uint64_t *status_team_ids(struct arena *mem, const uint64_t *ids, size_t count, size_t *out_count);

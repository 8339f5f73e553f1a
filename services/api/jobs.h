/*
 * jobs - what follows from a change of an account in other owners' data: rows of auth.jobs, claimed by one
 * copy at a time with a lease, repeated until they are done. One thread. Also throws away sessions that ended
 * long ago.
 *
 * profile: people of messaging and moderation learn the new name; account_updated goes into each of the
 * person's teams. erase: moderation ends memberships; both forget the name. bots: the bots of an account that was
 * erased or disabled share its fate.
 */
#pragma once

#include <stdint.h>

#include "common/base/status.h"
#include "services/api/api.h"

struct log_tx;
struct jobs;

enum status jobs_start(struct api *api, struct jobs **out_jobs);
void jobs_stop(struct jobs *jobs); /* finishes the step it is in; NULL is fine */
/* There may be work: looks at once instead of at the next second. Any thread; NULL is fine. */
void jobs_nudge(struct jobs *jobs);

/* Inside a change's work. changed: names of the fields, for the events that follow; event_id: of the event in
 * the user's own stream, which its copies share. */
enum status jobs_add_profile(struct log_tx *tx, uint64_t account_id, char *const *changed,
	size_t changed_count, uint64_t event_id);
enum status jobs_add_erase(struct log_tx *tx, uint64_t account_id);
enum status jobs_add_bots(struct log_tx *tx, uint64_t account_id);

#include "services/api/mount_team.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

#define KEPT_MS 1000
#define LOCKS   64

/* Somebody who was let in. What his session was judged by is part of it: another epoch, and he is judged anew. */
struct entry {
	uint64_t account_id, epoch, generation, team_id;
	enum dialect dialect;
	int64_t until_mono_ms;
};

struct mount_teams {
	pthread_mutex_t locks[LOCKS];
	size_t count;
	struct entry entries[];
};

struct mount_teams *mount_teams_create(size_t slots)
{
	struct mount_teams *teams = calloc(1, sizeof *teams + slots * sizeof *teams->entries);

	if (teams == NULL)
		return NULL;
	teams->count = slots;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&teams->locks[i], NULL);
	return teams;
}

void mount_teams_destroy(struct mount_teams *teams)
{
	if (teams == NULL)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&teams->locks[i]);
	free(teams);
}

static struct entry *lock_entry(struct mount_teams *teams, uint64_t account, pthread_mutex_t **out_lock)
{
	size_t at = (account * UINT64_C(0x9e3779b97f4a7c15) >> 20) % teams->count;

	*out_lock = &teams->locks[at % LOCKS];
	pthread_mutex_lock(*out_lock);
	return &teams->entries[at];
}

static bool find(struct exchange *x, enum dialect dialect)
{
	const struct actor *a = &x->actor;
	pthread_mutex_t *lock;
	const struct entry *e = lock_entry(x->api->mount_teams, a->id, &lock);
	bool found = e->account_id == a->id && e->dialect == dialect && e->epoch == a->epoch &&
		     e->generation == a->generation && clock_mono_ms() < e->until_mono_ms;

	if (found)
		x->team_id = e->team_id;
	pthread_mutex_unlock(lock);
	return found;
}

static void keep(struct exchange *x, enum dialect dialect)
{
	pthread_mutex_t *lock;
	struct entry *e = lock_entry(x->api->mount_teams, x->actor.id, &lock);

	*e = (struct entry){.account_id = x->actor.id,
		.epoch = x->actor.epoch,
		.generation = x->actor.generation,
		.team_id = x->team_id,
		.dialect = dialect,
		.until_mono_ms = clock_mono_ms() + KEPT_MS};
	pthread_mutex_unlock(lock);
}

enum status mount_team_admit(struct exchange *x, enum dialect dialect)
{
	uint8_t request_id[REQUEST_ID_BYTES];
	bool has_body_hash = x->has_body_hash;
	pb_MountTeamReply reply;

	if (find(x, dialect))
		return STATUS_OK;
	/* Coming in is a change of its own, before the one that was asked for. */
	memcpy(request_id, x->request_id, sizeof request_id);
	exchange_next_step(x, "mount");
	x->has_body_hash = false;
	x->team_id = 0;
	enum status st = CALL(x, moderation, get_mount_team, x->actor.id,
		&((pb_MountTeamRequest){.dialect = dialect, .join = true}), &reply);
	memcpy(x->request_id, request_id, sizeof request_id);
	x->has_body_hash = has_body_hash;
	if (st != STATUS_OK)
		return st;
	x->team_id = reply.team.id;
	keep(x, dialect);
	return STATUS_OK;
}

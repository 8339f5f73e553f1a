#include "services/api/transfers.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define DOWNLOADS_EACH 8 /* of an address, behind which there may be many people */

struct entry {
	uint64_t who;
	enum transfer what;
	int count; /* 0: free */
};

struct transfers {
	pthread_mutex_t lock;
	size_t most, running;
	int each;
	struct entry *entries; /* `most` of them: few enough to look at all */
};

struct transfers *transfers_create(size_t most, int each)
{
	struct transfers *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->most = most > 0 ? most : 1;
	t->each = each;
	t->entries = calloc(t->most, sizeof *t->entries);
	if (t->entries == NULL) {
		free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void transfers_destroy(struct transfers *t)
{
	if (t == NULL)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->entries);
	free(t);
}

/* His entry, or a free one. */
static struct entry *entry_of(struct transfers *t, enum transfer what, uint64_t who)
{
	struct entry *free_one = NULL;

	for (size_t i = 0; i < t->most; i++) {
		struct entry *e = &t->entries[i];
		if (e->count > 0 && e->what == what && e->who == who)
			return e;
		if (e->count == 0)
			free_one = e;
	}
	return free_one;
}

enum status transfers_begin(struct transfers *t, enum transfer what, uint64_t who)
{
	int each = what == TRANSFER_UPLOAD ? t->each : DOWNLOADS_EACH * t->each;
	enum status st = STATUS_OK;

	pthread_mutex_lock(&t->lock);
	struct entry *e = t->running < t->most ? entry_of(t, what, who) : NULL;
	if (e == NULL) {
		st = STATUS_BUSY;
	} else if (e->count >= each) {
		st = STATUS_RATE_LIMITED;
	} else {
		*e = (struct entry){who, what, e->count + 1};
		t->running++;
	}
	pthread_mutex_unlock(&t->lock);
	return st;
}

void transfers_end(struct transfers *t, enum transfer what, uint64_t who)
{
	pthread_mutex_lock(&t->lock);
	struct entry *e = entry_of(t, what, who);
	assert(e != NULL && e->count > 0);
	e->count--;
	t->running--;
	pthread_mutex_unlock(&t->lock);
}

/*
 * db/follower_queue - see follower_parts.h: which streams have something to do, in turn, and what was noted of them by the process's own
 * commits.
 */
#include <stdlib.h>
#include <string.h>

#include "common/db/follower_parts.h"

#define NOTES_MOST 65536

_Static_assert(sizeof(struct stream) == 16, "the key of a hash table: its padding is zeroed by key_of");

static struct stream key_of(struct stream s)
{
	struct stream key;

	memset(&key, 0, sizeof key);
	key.rank = s.rank;
	key.id = s.id;
	return key;
}

/* ---- notes */

static bool is_wanted(const struct log_follower *f, const struct logged_event *ev)
{
	if (!(f->options.ranks >> ev->stream.rank & 1))
		return false;
	for (size_t i = 0; i < f->options.kind_count; i++)
		if (f->options.kinds[i] == ev->kind)
			return true;
	return false;
}

/* Lock held. */
static void note_one(struct log_follower *f, const struct logged_event *ev)
{
	struct stream key = key_of(ev->stream);
	struct note *note;

	HASH_FIND(hh, f->notes, &key, sizeof key, note);
	if (note == NULL) {
		if (HASH_COUNT(f->notes) >= NOTES_MOST) {
			f->notes_lost = true;
			return;
		}
		note = calloc(1, sizeof *note);
		if (note == NULL)
			abort();
		note->stream = key;
		note->at_ms = ev->at_ms;
		HASH_ADD(hh, f->notes, stream, sizeof key, note);
	}
	if (note->head < ev->seq)
		note->head = ev->seq;
}

void log_follower_note(struct log_follower *f, const struct logged_event *events, size_t count)
{
	bool some = false;

	for (size_t i = 0; i < count && !some; i++)
		some = is_wanted(f, &events[i]);
	if (!some)
		return;
	pthread_mutex_lock(&f->lock);
	if (f->working) {
		for (size_t i = 0; i < count; i++)
			if (is_wanted(f, &events[i]))
				note_one(f, &events[i]);
		pthread_cond_signal(&f->wakes);
	}
	pthread_mutex_unlock(&f->lock);
}

/* ---- streams with something to do */

static struct follow *follow_of(struct log_follower *f, struct stream s)
{
	struct stream key = key_of(s);
	struct follow *w;

	HASH_FIND(hh, f->follows, &key, sizeof key, w);
	if (w != NULL)
		return w;
	w = calloc(1, sizeof *w);
	if (w == NULL)
		abort();
	w->stream = key;
	w->at = FOLLOWER_SAVED;
	HASH_ADD(hh, f->follows, stream, sizeof key, w);
	return w;
}

void follower_enqueue(struct log_follower *f, struct follow *w)
{
	if (w->queued || w->retry_mono_ms != 0)
		return;
	w->queued = true;
	w->next = NULL;
	*f->last = w;
	f->last = &w->next;
	f->queued++;
}

struct follow *follower_dequeue(struct log_follower *f)
{
	struct follow *w = f->first;

	if (w == NULL)
		return NULL;
	f->first = w->next;
	if (f->first == NULL)
		f->last = &f->first;
	w->queued = false;
	f->queued--;
	return w;
}

void follower_moved(struct log_follower *f, struct stream s, uint64_t head, int64_t at_ms)
{
	struct follow *w = follow_of(f, s);

	if (w->at != FOLLOWER_SAVED && head != 0 && head <= w->at)
		return; /* a second look at what is behind us */
	if (w->head < head)
		w->head = head;
	if (w->waiting_ms == 0)
		w->waiting_ms = at_ms;
	follower_enqueue(f, w);
}

void follower_forget_if_idle(struct log_follower *f, struct follow *w)
{
	if (w->queued || w->retry_mono_ms != 0 || w->careful_until != 0 || w->at != FOLLOWER_SAVED)
		return;
	HASH_DEL(f->follows, w);
	free(w);
}

void follower_forget_all(struct log_follower *f)
{
	struct follow *w, *next;
	struct note *note, *next_note;

	HASH_ITER(hh, f->follows, w, next)
	{
		HASH_DEL(f->follows, w);
		free(w);
	}
	f->first = NULL;
	f->last = &f->first;
	f->queued = 0;
	f->scan_at = (struct stream){0};
	pthread_mutex_lock(&f->lock);
	HASH_ITER(hh, f->notes, note, next_note)
	{
		HASH_DEL(f->notes, note);
		free(note);
	}
	f->notes_lost = false;
	pthread_mutex_unlock(&f->lock);
}

void follower_take_notes(struct log_follower *f)
{
	struct note *notes, *note, *next;

	pthread_mutex_lock(&f->lock);
	notes = f->notes;
	f->notes = NULL;
	f->scan_wanted = f->scan_wanted || f->notes_lost;
	f->notes_lost = false;
	pthread_mutex_unlock(&f->lock);
	HASH_ITER(hh, notes, note, next)
	{
		follower_moved(f, note->stream, note->head, note->at_ms);
		HASH_DEL(notes, note);
		free(note);
	}
}

void follower_wake_retries(struct log_follower *f, int64_t now)
{
	struct follow *w, *next;

	HASH_ITER(hh, f->follows, w, next)
	{
		if (w->retry_mono_ms == 0 || w->retry_mono_ms > now)
			continue;
		w->retry_mono_ms = 0;
		follower_enqueue(f, w);
	}
}

#include "services/presence/typing.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/log.h"

struct key {
	uint64_t user_id, channel_id;
};

struct entry {
	struct key key;
	struct typing_subject subject; /* its pointers lead into `bytes` */
	uint8_t *bytes;
	bool on;
	bool wanted; /* said again inside the pause after an end: begins when the pause is over */
	int64_t begun_at_mono_ms; /* when "is typing" was told last */
	int64_t until_mono_ms;
	UT_hash_handle hh;
};

struct typing {
	typing_changed *changed;
	void *arg;
	struct entry *entries;
};

static void *must(void *memory)
{
	if (memory == NULL) {
		log_error("out_of_memory");
		abort();
	}
	return memory;
}

struct typing *typing_create(typing_changed *changed, void *arg)
{
	struct typing *t = must(calloc(1, sizeof *t));

	t->changed = changed;
	t->arg = arg;
	return t;
}

static void entry_free(struct typing *t, struct entry *e)
{
	HASH_DEL(t->entries, e);
	free(e->bytes);
	free(e);
}

void typing_destroy(struct typing *t)
{
	struct entry *e, *next;

	if (t == NULL)
		return;
	HASH_ITER(hh, t->entries, e, next)
		entry_free(t, e);
	free(t);
}

/* The newest word decides: a channel may have got another audience since the last one. */
static void entry_keep(struct entry *e, const struct typing_subject *subject)
{
	uint8_t *bytes = must(malloc(subject->view_length + subject->channel_length + 1));

	if (subject->view_length > 0)
		memcpy(bytes, subject->view, subject->view_length);
	if (subject->channel_length > 0)
		memcpy(bytes + subject->view_length, subject->channel, subject->channel_length);
	free(e->bytes);
	e->bytes = bytes;
	e->subject = *subject;
	e->subject.view = bytes;
	e->subject.channel = bytes + subject->view_length;
}

static void entry_begin(struct typing *t, struct entry *e, int64_t now_mono_ms)
{
	e->begun_at_mono_ms = now_mono_ms;
	e->on = true;
	e->wanted = false;
	t->changed(t->arg, &e->subject, true);
}

enum status typing_set(struct typing *t, const struct typing_subject *subject, bool is_typing, int64_t now_mono_ms)
{
	struct key key;
	struct entry *e = NULL;

	memset(&key, 0, sizeof key);
	key.user_id = subject->user_id;
	key.channel_id = subject->channel_id;
	HASH_FIND(hh, t->entries, &key, sizeof key, e);
	if (!is_typing) {
		if (e != NULL)
			e->wanted = false;
		if (e != NULL && e->on) {
			e->on = false;
			t->changed(t->arg, subject, false);
		}
		return STATUS_OK;
	}
	if (e == NULL) {
		if (HASH_COUNT(t->entries) >= TYPING_MOST)
			return STATUS_BUSY;
		e = must(calloc(1, sizeof *e));
		e->key = key;
		e->begun_at_mono_ms = now_mono_ms - TYPING_PAUSE_MS;
		HASH_ADD(hh, t->entries, key, sizeof e->key, e);
	}
	entry_keep(e, subject);
	e->until_mono_ms = now_mono_ms + TYPING_LIFE_MS;
	if (now_mono_ms - e->begun_at_mono_ms >= TYPING_PAUSE_MS)
		entry_begin(t, e, now_mono_ms);
	else
		e->wanted = !e->on;
	return STATUS_OK;
}

void typing_tick(struct typing *t, int64_t now_mono_ms)
{
	struct entry *e, *next;

	HASH_ITER(hh, t->entries, e, next) {
		bool over = now_mono_ms >= e->until_mono_ms;

		if (e->on && over) {
			e->on = false;
			t->changed(t->arg, &e->subject, false);
		}
		if (e->wanted && !over && now_mono_ms - e->begun_at_mono_ms >= TYPING_PAUSE_MS)
			entry_begin(t, e, now_mono_ms);
		if (over)
			e->wanted = false;
		if (!e->on && !e->wanted && now_mono_ms - e->begun_at_mono_ms >= TYPING_PAUSE_MS)
			entry_free(t, e);
	}
}

size_t typing_count(const struct typing *t)
{
	return HASH_COUNT(t->entries);
}

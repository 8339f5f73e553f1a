#include "common/dialects/house/markup.h"

#include <stdio.h>
#include <string.h>

#include "common/base/ids.h"

static bool id_uuid(const char *text, size_t length, uint64_t *out_id)
{
	/* Ids are positive bigints: another number is nobody's, and would not come back as it was written. */
	return ids_from_uuid(text, length, out_id) == STATUS_OK && *out_id > 0 && *out_id <= INT64_MAX;
}

static bool mentioned(const uint64_t *ids, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool is_shown(const pb_MentionsView *mentions, const struct markup *m)
{
	switch (m->token) {
	case MARKUP_USER:
		return mentions != NULL && mentioned(mentions->user_ids, mentions->user_ids_count, m->id);
	case MARKUP_ROLE:
		return mentions != NULL && mentioned(mentions->role_ids, mentions->role_ids_count, m->id);
	case MARKUP_CHANNEL:
		return mentions != NULL && mentioned(mentions->channel_ids, mentions->channel_ids_count, m->id);
	case MARKUP_EMOJI:
		return true;
	case MARKUP_EVERYONE:
	case MARKUP_HERE:
		return false; /* the same in every dialect */
	}
	return false;
}

struct text {
	struct arena *mem;
	char *bytes;
	size_t length, room;
};

static void add(struct text *t, const char *bytes, size_t length)
{
	if (t->length + length + 1 > t->room) {
		size_t room = 2 * (t->length + length + 1);
		t->bytes = arena_grow(t->mem, t->bytes, t->room, room);
		t->room = room;
	}
	memcpy(t->bytes + t->length, bytes, length);
	t->length += length;
}

const char *house_markup_read(struct arena *mem, const char *text)
{
	struct text out = {.mem = mem};
	size_t length = strlen(text), done = 0;
	struct markup m;
	char id[24];

	markup_begin(&m, mem, text, length, id_uuid);
	while (markup_next(&m)) {
		if (m.id_end == 0)
			continue;
		add(&out, text + done, m.id_begin - done);
		add(&out, id, (size_t)snprintf(id, sizeof id, "%llu", (unsigned long long)m.id));
		done = m.id_end;
	}
	if (done == 0)
		return text;
	add(&out, text + done, length - done);
	out.bytes[out.length] = '\0';
	return out.bytes;
}

bool house_markup_any(const char *text, const pb_MentionsView *mentions)
{
	return mentions != NULL || strstr(text, "<:") != NULL;
}

bool house_markup_next(struct markup *m, const pb_MentionsView *mentions)
{
	while (markup_next(m))
		if (is_shown(mentions, m))
			return true;
	return false;
}

const char *house_markup_write(struct arena *mem, const char *text, const pb_MentionsView *mentions)
{
	struct text out = {.mem = mem};
	size_t length, done = 0;
	struct markup m;
	char id[IDS_UUID_SIZE];

	if (!house_markup_any(text, mentions)) /* as nearly all text is */
		return text;
	length = strlen(text);
	markup_begin(&m, mem, text, length, markup_id_decimal);
	while (house_markup_next(&m, mentions)) {
		ids_to_uuid(m.id, id);
		add(&out, text + done, m.id_begin - done);
		add(&out, id, sizeof id - 1);
		done = m.id_end;
	}
	if (done == 0)
		return text;
	add(&out, text + done, length - done);
	out.bytes[out.length] = '\0';
	return out.bytes;
}

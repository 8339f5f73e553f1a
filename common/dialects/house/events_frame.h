/*
 * house/events_frame - a frame while a renderer writes it, and what renderers share. Inside this folder only.
 */
#pragma once

#include <string.h>

#include "common/dialects/house/events.h"
#include "common/dialects/house/shapes.h"
#include "common/json/writer.h"

struct frame {
	struct json_writer w;
	const struct logged_event *ev;
	const pb_Event *body;
	const char *type;
	enum house_copy copy;
	bool detail;
	bool open; /* the renderer decided to write, and data is open */
};

/* A renderer opens the frame, then writes the keys of data; one that returns without opening sends nothing.
 */
static inline struct json_writer *frame_open(struct frame *f)
{
	struct json_writer *w = &f->w;

	jw_object(w);
	jw_kv(w, str, "type", f->type);
	jw_kv(w, time, "timestamp", f->ev->at_ms);
	jw_key(w, "data");
	jw_object(w);
	f->open = true;
	return w;
}

static inline bool named(char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (names[i] != NULL && strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static inline void who(struct json_writer *w, bool has, const pb_UserView *user)
{
	jw_kv(w, uuid, "user_id", has ? user->id : 0);
	jw_key(w, "username");
	house_username(w, has ? user : NULL);
}

static inline void member_detail(struct frame *f, const pb_MemberView *member)
{
	if (f->detail) {
		jw_key(&f->w, "member");
		house_member(&f->w, member);
	}
}

/* The renderers of events.tbl.h: events_accounts.c, events_channels.c, events_messages.c, events_presence.c, events_roles.c,
 * events_teams.c, events_webhooks.c. */
#define EVENT(arm, wire, classes, render)            void render(struct frame *f);
#define EVENT_IN_CHANNEL(arm, wire, classes, render) void render(struct frame *f);
#define EVENT_SOMEWHERE(arm, wire, classes, render)  void render(struct frame *f);
#define EVENT_NOT_SENT(arm, reason)
#include "common/dialects/house/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_SOMEWHERE
#undef EVENT_NOT_SENT

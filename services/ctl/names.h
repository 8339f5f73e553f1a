/*
 * names - streams and audiences as people write them: team:<uuid>, conversation:<uuid>, user:<uuid>, global. Pure.
 */
#pragma once

#include "common/base/arena.h"
#include "common/events/events.h"

/* How a stream given on the command line was meant. */
enum stream_name {
	STREAM_NAME_ID,      /* *out is it */
	STREAM_NAME_USER,    /* user:NAME; *out_username is the name */
	STREAM_NAME_UNKNOWN, /* none of the spellings */
};
enum stream_name stream_name_read(const char *text, struct stream *out, const char **out_username);

/* "channel:5000000001" -> "channel:<uuid>"; what has no id stays. */
const char *audience_for_people(struct arena *mem, const char *audience);

/*
 * open_parts - what the files of opening (open.h) share: open.c (a client's way into a stream), open_ask.c (what is asked for it) and
 * open_audience.c (the audience events). Nobody else includes it. Everything belongs to one loop.
 */
#pragma once

#include "services/gateway/open.h"

#define OPEN_RETRY_MS      100
#define OPEN_USERS_AT_ONCE 256 /* in one question about a stream */

/* ---- open.c */

/* Not answered: again a little later, or given up. */
void opening_failed(struct opening *opening, enum status st);
/* Takes the reference. False: they do not let the client stay; it is closed, and the member gone. */
bool open_take_keys(struct member *member, struct key_set *keys);

/* ---- open_ask.c */

/* Openings of the feed are to be asked about in this turn. */
void open_unasked_add(struct feed *feed);

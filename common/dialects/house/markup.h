/*
 * house/markup - the tokens of message text as house spells them: <@uuid> <@&uuid> <#uuid> <:name:uuid>, where canonical
 * text has decimal ids (common/events/markup.h). Both ways leave code and everything that is no token alone. Pure; any
 * thread; linear in the text.
 */
#pragma once

#include "common/base/arena.h"
#include "common/events/markup.h"
#include "proto/views.pb.h"

/* Bytes of the longest house text whose canonical text still has `points` code points: an id of one digit was a UUID. */
#define HOUSE_MARKUP_GROWTH 10

/* What a client of house wrote, valid UTF-8, as canonical text: in mem, or `text` itself when nothing in it changes. */
const char *house_markup_read(struct arena *mem, const char *text);
/*
 * Canonical text as house shows it: in mem, or `text` itself. Tokens that are not in the message's mentions (NULL: there
 * are none) stay as they are; an emoji mentions nobody and is always rewritten.
 */
const char *house_markup_write(struct arena *mem, const char *text, const pb_MentionsView *mentions);
/* The same one by one, for who shows text in pieces: can there be tokens whose id is spelled otherwise; the next of them. */
bool house_markup_any(const char *text, const pb_MentionsView *mentions);
bool house_markup_next(struct markup *m, const pb_MentionsView *mentions);

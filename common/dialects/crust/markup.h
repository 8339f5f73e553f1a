/*
 * crust/markup - the tokens of message text as crust spells them: <@id> <@id label> <#id> <#id label>. Canonical text has the same
 * decimal ids (common/events/markup.h) and no labels, so what goes out goes out as it is. Pure; any thread; linear in the text.
 */
#pragma once

#include "common/base/arena.h"

/* What a client of crust wrote, valid UTF-8, as canonical text: in mem, or `text` itself when there is no label in it. */
const char *crust_markup_read(struct arena *mem, const char *text);

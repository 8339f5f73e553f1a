/*
 * emoji - what people may react with: an emoji of Unicode, or a word. Pure; any thread.
 */
#pragma once

#include <stdbool.h>

#define EMOJI_MAX 32 /* code points */

/*
 * 1..EMOJI_MAX code points of UTF-8 of which at least one can be seen: no control characters, no blanks,
 * nothing that turns the direction of what stands around it. Joiners and variation selectors are parts of
 * emoji and allowed beside others. NULL: no.
 */
bool emoji_fits(const char *text);

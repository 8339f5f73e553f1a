/*
 * search_lexemes - how the search index keeps a word: not as itself but behind the number of its segment ("5k:apple"). A segment
 * is a few thousand messages of one stream in order of time (search_index.h), so one probe of the index finds a word in one
 * segment, and a search reads from the newest on and stops when it has enough, however common its words are. Beside its words
 * every message has marks of the same kind: "5k*" (it is there), "5k#" channel, "5k@" author, "5k%" kind; a word of a text
 * is never one of them, because it stands behind ":". Pure; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/db/db.h"

/* A tsvector's text with its lexemes in the segment, and the marks of the message. */
const char *search_vector(struct arena *mem, const char *vector, uint64_t segment, uint64_t channel, uint64_t author, uint32_t kind);

/* What is searched for, in any segment. */
struct search_terms {
	const char *query; /* a tsquery's text, or NULL: everything */
	bool bounded;      /* the query cannot be met by a message with none of its words */
	const uint64_t *channels, *authors; /* any of them; none: all */
	size_t channel_count, author_count;
	const uint32_t *kinds, *other_kinds; /* any of kinds, none of other_kinds: the shorter list is the cheaper one */
	size_t kind_count, other_kind_count;
};
/* The tsquery that finds them in one segment. */
const char *search_match(struct arena *mem, const struct search_terms *terms, uint64_t segment);
/* Only its words: what a message is ranked by. NULL when there are none. */
const char *search_ranking(struct arena *mem, const struct search_terms *terms, uint64_t segment);

/*
 * markup - the tokens in a message's text: <@user> <@&role> <#channel> <:name:emoji> @everyone @here. Who writes
 * canonical text spells ids in decimal; a dialect whose ids look otherwise brings its own way of reading them. What
 * stands in code is plain text: a run of n backticks up to the next run of exactly n. Says only what is written there;
 * whether a token may mention anybody is for messaging to decide.
 *
 * Reads bytes from outside. Time grows with the length of the text alone, whatever it holds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

enum markup_token {
	MARKUP_USER,
	MARKUP_ROLE,
	MARKUP_CHANNEL,
	MARKUP_EMOJI,
	MARKUP_EVERYONE, /* @everyone and @here: as words, so not inside of an address */
	MARKUP_HERE,
};

#define MARKUP_EMOJI_NAME_MAX 32
#define MARKUP_ID_BYTES_MAX   36

/* Reads an id that fills all of text; false: it is none. */
typedef bool markup_id_fn(const char *text, size_t length, uint64_t *out_id);
/* 1..2^63-1 in decimal without leading zeros: each id has one spelling. */
markup_id_fn markup_id_decimal;

struct markup {
	/* -- the token that markup_next found */
	enum markup_token token;
	size_t begin, end;       /* in bytes; end is behind the token */
	size_t id_begin, id_end; /* of the id as it is spelled; both 0 for @everyone and @here. What is between id_end and
	                            end - 1 is a label */
	uint64_t id;
	/* -- its own */
	struct arena *mem;
	const char *text;
	size_t length, at;
	markup_id_fn *read_id;
	bool labels; /* set behind markup_begin: a blank and any text may follow the id of a person or channel */
	size_t *last_run; /* by length: behind where the last run of so many backticks begins; 0: there is none */
	size_t longest_run;
	bool unclosed; /* no '>' follows */
};

/* text is valid UTF-8 and borrowed until the last markup_next. */
void markup_begin(struct markup *m, struct arena *mem, const char *text, size_t length, markup_id_fn *read_id);
/* The next token in the order of the text; false when there is none left. */
bool markup_next(struct markup *m);

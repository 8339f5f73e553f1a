/*
 * search_query - what is found for a query among channels that the actor can read, with bounded work: segments are probed from
 * the newest on until there are about SEARCH_HITS_MOST hits. Ranks depend on the query and the message alone, totals count
 * readable messages only: nothing of a channel that is not in `channels` shows in an answer.
 *
 * Everything reads from the transaction that conn is in; the caller has begun a snapshot.
 */
#pragma once

#include "common/db/db.h"
#include "common/events/events.h"
#include "proto/messaging.pb.h"

/* More are counted as "capped": a word that is everywhere is ranked among the newest messages. What one more batch of segments
 * brings is still looked at, so a total may be some thousand higher. */
#define SEARCH_HITS_MOST     2000
#define SEARCH_VISITS_MOST   10000  /* messages looked at, readable or not */
#define SEARCH_NEWEST_VISITS 100000 /* newest first: while a newer one may be in what was not looked at */
#define SEARCH_SEGMENTS_MOST 2000   /* probed: 16 million messages */

struct search_query {
	const char *config; /* text search configuration */
	const char *text;   /* UTF-8; NULL or "": everything */
	const uint64_t *channels; /* readable ones */
	size_t channel_count;
	const struct stream *streams; /* home of the channels */
	size_t stream_count;
	const uint64_t *authors;
	size_t author_count;
	const uint32_t *kinds;
	size_t kind_count;
	uint64_t reader; /* whose bookmarks and own reactions are shown */
	bool pinned, replied, bookmarked;
	uint64_t after, before; /* exclusive; 0: none */
	uint32_t limit;
	bool newest_first;
	const pb_SearchCursor *from; /* or NULL */
};

struct search_hit {
	uint64_t message_id, rank;
};
struct search_answer {
	struct search_hit *hits;
	size_t count;
	bool more;
	uint64_t total;
	bool capped, partial;
	const char *query; /* the text as the database understood it, for search_show */
	bool nothing;      /* the text has no word in it: nothing is found */
};

enum status search_run(struct db_conn *conn, struct arena *mem, const struct search_query *q, struct search_answer *out);
/* The messages of the hits with their snippets; one that is gone by now is left out. */
enum status search_show(struct db_conn *conn, struct arena *mem, const struct search_query *q, const struct search_answer *answer,
	pb_FoundMessage **out_found, size_t *out_count);

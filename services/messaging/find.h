/*
 * find - messages as the table has them, without the index of words (search.h): history of one channel or of many, threads, what is
 * pinned or bookmarked, and text as a part of a message in whatever case.
 *
 * Which rows are looked at is decided by what is asked for, each by an index that is there anyway:
 *   replies of threads     messages_root_seq, root by root
 *   pinned; bookmarked     pins, bookmarks_newest
 *   one channel            messages_channel_seq, as list_messages does; a bound that is a message of the channel is its place there
 *   several, from the end  the same, channel by channel
 *   several, with bounds   the primary key: ids grow with time
 * and on those the other conditions are tried one by one. A condition that few rows meet is therefore slow, and bounded: FIND_SCAN rows,
 * of several channels its share of each. So is the main stream of a channel in which nearly everything is a reply.
 * No index of trigrams: on the table of messages every post would pay for it, and the index of words, which is filled behind the commit,
 * has no text.
 */
#pragma once

#include "common/rpc/rpc.h"

rpc_handler find_messages, search_threads;

#define FIND_LIMIT        100
#define FIND_SCAN         50000
#define FIND_TEXT_MAX     256
#define FIND_IDS_MAX      1000 /* channels, roots, authors in one question */
#define FIND_LATERAL_MOST 200  /* channels that are looked through one by one */
#define THREAD_REPLIES    1000
#define THREADS_BYTES     3000000 /* of an answer */

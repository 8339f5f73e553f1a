/*
 * search - the call search_messages: rights, bounds, and the answer of search_query under rights that still hold.
 */
#pragma once

#include "common/rpc/rpc.h"

rpc_handler search_messages;

#define SEARCH_TEXT_MAX     256 /* code points */
#define SEARCH_CHANNELS_MAX 50
#define SEARCH_AUTHORS_MAX  20

/*
 * files - how many of the files that this process may open are left for connections. Any thread.
 */
#pragma once

#include <stddef.h>

#define FILES_SPARE 128 /* of nofile: the database, calls, events, ops, logs */

/* Raises the soft limit to the hard one. SIZE_MAX: no limit. With few files in all half of them are for connections. */
size_t files_for_connections(void);

/* A store of files in memory, as an object store is made: each piece that is put is an object of its own, and one is made of them when
 * they are kept. Nothing of it outlives it. */
#pragma once

#include "services/messaging/file_store.h"

struct file_store *file_memory_create(void);

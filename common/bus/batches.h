/*
 * bus/batches - the numbers of the batches of every publisher heard, and whether one is missing. Pure; one thread owns it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/bus/frame.h"

#define BATCHES_PUBLISHERS_MOST 1024 /* lives of processes; the longest silent one is forgotten first */

struct batches;
struct batches *batches_create(void);
void batches_destroy(struct batches *batches); /* accepts NULL */
/* Counts a frame. True: something before it was lost, or may have been, because its publisher is new or lives anew. */
bool batches_lost(struct batches *batches, const struct frame *frame, int64_t now_mono_ms);

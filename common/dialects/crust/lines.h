/*
 * crust/lines - what the system tells of a channel, in the words that this API's server wrote; its web page finds the people in them. Pure;
 * any thread.
 */
#pragma once

#include "common/base/arena.h"
#include "proto/views.pb.h"

/* Of a message of kind system; in mem, or the view's own text when the line is none that this build knows. */
const char *crust_line(struct arena *mem, const pb_MessageView *message);

/*
 * bus/event - making the refcounted events that bus.h hands out. Any thread.
 */
#pragma once

#include <stddef.h>

#include "common/bus/bus.h"

/* Copies everything. The body is decoded here, once; a payload that does not parse leaves the event without body. */
struct bus_event *bus_event_create(const struct logged_event *logged);
/* bytes: an encoded EphemeralEvent. NULL when it does not parse, or its payload does not. */
struct bus_event *bus_event_create_ephemeral(const uint8_t *bytes, size_t length);

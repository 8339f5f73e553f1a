/*
 * status - the outcome of everything that can fail. One row per outcome in status.tbl.h; the enum, the HTTP
 * code, the wire name and the text all come from it. Pure; every function may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum status {
#define STATUS(code, http, wire, text) STATUS_##code,
#include "common/base/status.tbl.h"
#undef STATUS
	STATUS_COUNT
};

/* The HTTP code, the stable snake_case name and the sentence of a status; an unknown number is INTERNAL's. */
int status_http(enum status st);
const char *status_wire(enum status st);
const char *status_text(enum status st);

/* A number from another process as a status: what is out of range becomes STATUS_INTERNAL. */
enum status status_from_number(uint32_t number);

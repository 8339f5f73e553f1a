/*
 * log - one JSON object a line on stderr: {"time","level","service","event","trace"?,"session"?,...}.
 * Never tokens, passwords or message text. Thread-safe; a line is one write(2).
 * `event` is a stable name per kind of happening; trace and session ride along by themselves
 * from the calling thread's context.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_kind { LOG_KIND_END, LOG_KIND_STR, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_F64, LOG_KIND_BOOL, LOG_KIND_ID };

struct log_field {
	enum log_kind kind;
	const char *key;
	union {
		const char *str;
		uint64_t u64;
		int64_t i64;
		double f64;
		bool flag;
	} value;
};

#define LOG_STR(k, v)    ((struct log_field){LOG_KIND_STR, (k), {.str = (v)}})
#define LOG_U64(k, v)    ((struct log_field){LOG_KIND_U64, (k), {.u64 = (v)}})
#define LOG_I64(k, v)    ((struct log_field){LOG_KIND_I64, (k), {.i64 = (v)}})
#define LOG_F64(k, v)    ((struct log_field){LOG_KIND_F64, (k), {.f64 = (v)}})
#define LOG_BOOL(k, v)   ((struct log_field){LOG_KIND_BOOL, (k), {.flag = (v)}})
#define LOG_ID(k, v)     ((struct log_field){LOG_KIND_ID, (k), {.u64 = (v)}}) /* printed as house prints it */
#define LOG_STATUS(k, v) LOG_STR((k), status_wire(v))

void log_init(const char *service, enum log_level least); /* once, from main */
/* The context of the calling thread; trace is copied (32 characters at most), NULL or "" clears it. */
void log_set_trace(const char *trace);
const char *log_trace(void); /* "" when none */
void log_set_session(uint64_t session);

bool log_enabled(enum log_level level); /* would a line of this level be written? */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) {LOG_KIND_END, 0, {0}}})
#define log_debug(event, ...) log_write(LOG_DEBUG, (event), LOG_FIELDS(__VA_ARGS__))
#define log_info(event, ...)  log_write(LOG_INFO, (event), LOG_FIELDS(__VA_ARGS__))
#define log_warn(event, ...)  log_write(LOG_WARN, (event), LOG_FIELDS(__VA_ARGS__))
/* error means that somebody must act */
#define log_error(event, ...) log_write(LOG_ERROR, (event), LOG_FIELDS(__VA_ARGS__))

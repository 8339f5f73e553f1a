/*
 * clock - the two clocks. Wall clock (Unix ms, UTC) for what people see; monotonic for every timeout.
 * Any thread. Functions that depend on time take it as an argument, so tests pass it in.
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Waiting by the monotonic clock: a condition made here takes clock_timespec of a monotonic moment. */
void clock_cond_init(pthread_cond_t *cond);
struct timespec clock_timespec(int64_t ms);
/* Waits until the semaphore is posted, pause_ms at most. True: it was. */
bool clock_sem_wait(sem_t *sem, int64_t pause_ms);

#define CLOCK_RFC3339_SIZE 25 /* "2025-01-15T10:30:00.000Z" and its NUL */
/* Writes the moment as RFC 3339 UTC with milliseconds and Z. Years 0000..9999; others are clamped. */
void clock_format_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE]);
/* Reads RFC 3339 with Z or an offset, 0..9 fraction digits. Returns 0, or -1 when it is not one. */
int clock_parse_rfc3339(const char *text, size_t length, int64_t *out_wall_ms);

/*
 * ids - making and spelling 64-bit ids. Classes and ranges are the domain model's section 0.1:
 * S time-sorted (41 bits of ms since 2024-01-01T00:00:00Z, 10 bits node, 12 bits counter),
 * R random in 2^32..2^47-1; N (one small shared counter) comes from the database, not from here.
 * Ids are never a capability. An id of 0 means "none".
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

#define IDS_EPOCH_WALL_MS INT64_C(1704067200000) /* 2024-01-01T00:00:00Z */

/* One generator per process. Thread-safe. */
struct ids {
	_Atomic uint64_t state; /* last ms since the epoch << 12 | counter */
	_Atomic uint32_t node;
	_Atomic int64_t lease_until_mono_ms; /* past it no S id is made: STATUS_BUSY */
};

void ids_init(struct ids *ids);
/*
 * Called by the holder of the node lease (common/db/nodes.h) at start and at each renewal.
 * node 0..1023; floor_wall_ms: no S id is made with an earlier time; until_mono_ms: end of the lease.
 */
void ids_lease(struct ids *ids, uint32_t node, int64_t floor_wall_ms, int64_t until_mono_ms);
/* The next S id; strictly growing in this process even if the wall clock steps back.
 * STATUS_BUSY without a living lease. */
enum status ids_next(struct ids *ids, int64_t now_wall_ms, int64_t now_mono_ms, uint64_t *out_id);
/* A random id of class R, from libsodium. The caller retries when the database already has it. */
uint64_t ids_random(void);
int64_t ids_wall_ms(uint64_t id); /* the time inside an S id */
uint64_t ids_from_wall_ms(int64_t wall_ms); /* no S id of that moment or later is smaller; 0 before there were any */

#define IDS_UUID_SIZE 37
/* UUID version 8, holding the 64 bits reversibly: 48 bits, version, 12 bits, variant, 4 bits, 58 zero bits. */
void ids_to_uuid(uint64_t id, char out[IDS_UUID_SIZE]);
/* Exactly 36 characters, either case; anything but a version 8 UUID of ours: STATUS_NOT_FOUND. */
enum status ids_from_uuid(const char *text, size_t length, uint64_t *out_id);

/* 128 random bits: request ids and trace ids (32 lower-case hex digits). */
#define IDS_TRACE_SIZE 33
void ids_trace(char out[IDS_TRACE_SIZE]);
/* length random bytes from libsodium. */
void ids_random_bytes(void *out, size_t length);

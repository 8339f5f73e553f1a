#include "common/base/ids.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "common/base/log.h"

#define COUNTER_BITS 12
#define NODE_BITS    10
#define R_LEAST      (UINT64_C(1) << 32)
#define R_END        (UINT64_C(1) << 47)

static uint64_t since_epoch(int64_t wall_ms)
{
	return wall_ms > IDS_EPOCH_WALL_MS ? (uint64_t)(wall_ms - IDS_EPOCH_WALL_MS) : 0;
}

void ids_init(struct ids *ids)
{
	atomic_init(&ids->state, 0);
	atomic_init(&ids->node, 0);
	atomic_init(&ids->lease_until_mono_ms, INT64_MIN);
}

void ids_lease(struct ids *ids, uint32_t node, int64_t floor_wall_ms, int64_t until_mono_ms)
{
	assert(node < 1u << NODE_BITS);
	uint64_t floor = since_epoch(floor_wall_ms) << COUNTER_BITS;
	uint64_t old = atomic_load(&ids->state);

	while (old < floor && !atomic_compare_exchange_weak(&ids->state, &old, floor))
		;
	/* In this order: whoever sees the new node also sees its floor. */
	atomic_store(&ids->node, node);
	atomic_store(&ids->lease_until_mono_ms, until_mono_ms);
}

enum status ids_next(struct ids *ids, int64_t now_wall_ms, int64_t now_mono_ms, uint64_t *out_id)
{
	if (now_mono_ms >= atomic_load(&ids->lease_until_mono_ms))
		return STATUS_BUSY;
	uint64_t node = atomic_load(&ids->node);
	uint64_t now = since_epoch(now_wall_ms) << COUNTER_BITS;
	uint64_t old = atomic_load(&ids->state);
	uint64_t next;
	/* A full counter runs on into the next millisecond, as does a clock that stepped back. */
	do
		next = now > old ? now : old + 1;
	while (!atomic_compare_exchange_weak(&ids->state, &old, next));
	uint64_t ms = next >> COUNTER_BITS;
	uint64_t counter = next & ((1u << COUNTER_BITS) - 1);
	*out_id = ms << (NODE_BITS + COUNTER_BITS) | node << COUNTER_BITS | counter;
	return STATUS_OK;
}

int64_t ids_wall_ms(uint64_t id)
{
	return (int64_t)(id >> (NODE_BITS + COUNTER_BITS)) + IDS_EPOCH_WALL_MS;
}

uint64_t ids_from_wall_ms(int64_t wall_ms)
{
	return wall_ms <= IDS_EPOCH_WALL_MS
		       ? 0
		       : (uint64_t)(wall_ms - IDS_EPOCH_WALL_MS) << (NODE_BITS + COUNTER_BITS);
}

static void start_sodium(void)
{
	if (sodium_init() < 0) {
		log_error("random_unavailable", LOG_STR("do", "allow getrandom or mount /dev/urandom"));
		abort();
	}
}

void ids_random_bytes(void *out, size_t length)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start_sodium);
	randombytes_buf(out, length);
}

uint64_t ids_random(void)
{
	uint64_t id;

	do {
		ids_random_bytes(&id, sizeof id);
		id &= R_END - 1;
	} while (id < R_LEAST);
	return id;
}

static const char hex[] = "0123456789abcdef";

void ids_to_uuid(uint64_t id, char out[IDS_UUID_SIZE])
{
	uint64_t high = (id >> 16) << 16 | 0x8000 | ((id >> 4) & 0xFFF);
	uint64_t low = UINT64_C(0x8000000000000000) | (id & 0xF) << 58;
	char *at = out;

	for (int nibble = 0; nibble < 32; nibble++) {
		if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20)
			*at++ = '-';
		uint64_t half = nibble < 16 ? high : low;
		*at++ = hex[half >> (60 - 4 * (nibble & 15)) & 0xF];
	}
	*at = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

enum status ids_from_uuid(const char *text, size_t length, uint64_t *out_id)
{
	uint64_t halves[2] = {0, 0};
	int nibble = 0;

	if (length != IDS_UUID_SIZE - 1)
		return STATUS_NOT_FOUND;
	for (size_t i = 0; i < length; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return STATUS_NOT_FOUND;
			continue;
		}
		int value = hex_value(text[i]);
		if (value < 0)
			return STATUS_NOT_FOUND;
		halves[nibble / 16] = halves[nibble / 16] << 4 | (uint64_t)value;
		nibble++;
	}
	uint64_t high = halves[0], low = halves[1];
	bool version_8 = (high & 0xF000) == 0x8000;
	bool variant_and_zeros = (low & ~(UINT64_C(0xF) << 58)) == UINT64_C(0x8000000000000000);
	uint64_t id = (high >> 16) << 16 | (high & 0xFFF) << 4 | (low >> 58 & 0xF);
	if (!version_8 || !variant_and_zeros || id == 0)
		return STATUS_NOT_FOUND;
	*out_id = id;
	return STATUS_OK;
}

void ids_trace(char out[IDS_TRACE_SIZE])
{
	unsigned char bytes[(IDS_TRACE_SIZE - 1) / 2];

	ids_random_bytes(bytes, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++) {
		out[2 * i] = hex[bytes[i] >> 4];
		out[2 * i + 1] = hex[bytes[i] & 0xF];
	}
	out[IDS_TRACE_SIZE - 1] = '\0';
}

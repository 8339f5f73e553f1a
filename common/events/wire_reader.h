/*
 * wire_reader - the fields of a protobuf message one after the other, in place and without allocating: for the envelopes
 * that are read before it is known whether their content is wanted. Bytes from outside. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct wire_reader {
	const uint8_t *at;
	size_t left;
	bool malformed; /* nothing more comes; what came before was fine */
};

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;       /* of the three number types */
	const uint8_t *bytes; /* of WIRE_BYTES; borrowed */
	size_t length;
};

static inline struct wire_reader wire_reader_on(const uint8_t *bytes, size_t length)
{
	return (struct wire_reader){bytes, length, false};
}

static inline bool wire_varint(struct wire_reader *r, uint64_t *out)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && r->left > 0; shift += 7) {
		uint8_t byte = *r->at++;
		r->left--;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*out = value;
			return true;
		}
	}
	return false;
}

static inline bool wire_take(struct wire_reader *r, uint64_t count, const uint8_t **out)
{
	if (count > r->left)
		return false;
	*out = r->at;
	r->at += count;
	r->left -= (size_t)count;
	return true;
}

static inline uint64_t wire_little_endian(const uint8_t *bytes, size_t count)
{
	uint64_t value = 0;

	while (count-- > 0)
		value = value << 8 | bytes[count];
	return value;
}

static inline bool wire_field_read(struct wire_reader *r, struct wire_field *out)
{
	uint64_t key = 0;
	const uint8_t *bytes = NULL;

	if (!wire_varint(r, &key) || key >> 3 == 0 || key >> 3 >= UINT64_C(1) << 29)
		return false;
	*out = (struct wire_field){.number = (uint32_t)(key >> 3)};
	switch (key & 7) {
	case WIRE_VARINT:
		out->type = WIRE_VARINT;
		return wire_varint(r, &out->value);
	case WIRE_64:
		out->type = WIRE_64;
		if (!wire_take(r, 8, &bytes))
			return false;
		out->value = wire_little_endian(bytes, 8);
		return true;
	case WIRE_32:
		out->type = WIRE_32;
		if (!wire_take(r, 4, &bytes))
			return false;
		out->value = wire_little_endian(bytes, 4);
		return true;
	case WIRE_BYTES:
		out->type = WIRE_BYTES;
		if (!wire_varint(r, &key) || !wire_take(r, key, &out->bytes))
			return false;
		out->length = (size_t)key;
		return true;
	}
	return false; /* groups, and the two types that protobuf does not have */
}

/* The next field; false at the end, or when the rest is malformed (r->malformed). */
static inline bool wire_next(struct wire_reader *r, struct wire_field *out)
{
	if (r->malformed || r->left == 0)
		return false;
	r->malformed = !wire_field_read(r, out);
	return !r->malformed;
}

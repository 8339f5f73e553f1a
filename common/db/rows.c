#include <assert.h>
#include <libpq-fe.h>
#include <string.h>

#include "common/db/db.h"

static uint64_t big_endian(const unsigned char *at, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | at[i];
	return v;
}

static int64_t signed_value(const unsigned char *at, int bytes)
{
	switch (bytes) {
	case 1:
		return at[0] != 0; /* bool */
	case 2:
		return (int16_t)big_endian(at, 2);
	case 4:
		return (int32_t)big_endian(at, 4);
	case 8:
		return (int64_t)big_endian(at, 8);
	default:
		return 0;
	}
}

bool db_is_null(const struct db_rows *rows, int row, int column)
{
	return PQgetisnull(rows->result, row, column) == 1;
}

int64_t db_i64(const struct db_rows *rows, int row, int column)
{
	/* The column's type is our own SQL's: a numeric here (a sum of bigints) lacks a cast. */
	Oid type = PQftype(rows->result, column);
	assert(type == 16 || type == 20 || type == 21 || type == 23 || type == 26);
	if (db_is_null(rows, row, column))
		return 0;
	return signed_value((const unsigned char *)PQgetvalue(rows->result, row, column),
		PQgetlength(rows->result, row, column));
}

uint64_t db_id(const struct db_rows *rows, int row, int column)
{
	return (uint64_t)db_i64(rows, row, column);
}

bool db_bool(const struct db_rows *rows, int row, int column)
{
	return db_i64(rows, row, column) != 0;
}

const char *db_text(const struct db_rows *rows, int row, int column)
{
	return db_is_null(rows, row, column) ? NULL : PQgetvalue(rows->result, row, column);
}

const uint8_t *db_bytea(const struct db_rows *rows, int row, int column, size_t *out_length)
{
	if (db_is_null(rows, row, column)) {
		*out_length = 0;
		return NULL;
	}
	*out_length = (size_t)PQgetlength(rows->result, row, column);
	return (const uint8_t *)PQgetvalue(rows->result, row, column);
}

size_t db_i64s(const struct db_rows *rows, int row, int column, struct arena *mem, int64_t **out)
{
	const unsigned char *at = (const unsigned char *)PQgetvalue(rows->result, row, column);
	const unsigned char *end = at + PQgetlength(rows->result, row, column);
	size_t count = 0;

	assert(PQftype(rows->result, column) == 1016);
	if (end - at >= 20 && big_endian(at, 4) == 1)
		count = big_endian(at + 12, 4);
	if (count > (size_t)(end - at) / 4)
		count = 0;
	int64_t *values = ARENA_ARRAY(mem, count, int64_t);
	at += 20;
	for (size_t i = 0; i < count; i++) {
		uint64_t length = big_endian(at, 4);
		at += 4;
		if (length == UINT32_MAX) /* a NULL element */
			continue;
		if (length != 8 || end - at < 8)
			return 0;
		values[i] = (int64_t)big_endian(at, 8);
		at += 8;
	}
	*out = values;
	return count;
}

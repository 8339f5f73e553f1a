#include <assert.h>
#include <string.h>

#include "common/db/db.h"

/* Type oids of pg_type; they never change. */
enum oid {
	OID_BOOL = 16,
	OID_BYTEA = 17,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_TEXT = 25,
	OID_BOOL_ARRAY = 1000,
	OID_BYTEA_ARRAY = 1001,
	OID_INT2_ARRAY = 1005,
	OID_INT4_ARRAY = 1007,
	OID_TEXT_ARRAY = 1009,
	OID_INT8_ARRAY = 1016,
};

static void put16(unsigned char *at, uint16_t v)
{
	at[0] = (unsigned char)(v >> 8);
	at[1] = (unsigned char)v;
}

static void put32(unsigned char *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

static void put64(unsigned char *at, uint64_t v)
{
	put32(at, (uint32_t)(v >> 32));
	put32(at + 4, (uint32_t)v);
}

static void put_value(struct db_params *p, uint32_t type, const void *bytes, size_t length)
{
	assert(p->count < DB_PARAMS_MAX);
	p->types[p->count] = type;
	p->values[p->count] = bytes;
	p->lengths[p->count] = (int)length;
	p->count++;
}

void db_params_begin(struct db_params *p, struct arena *mem)
{
	p->mem = mem;
	p->count = 0;
}

void db_put_i16(struct db_params *p, int16_t v)
{
	unsigned char *at = arena_alloc(p->mem, 2);
	put16(at, (uint16_t)v);
	put_value(p, OID_INT2, at, 2);
}

void db_put_i32(struct db_params *p, int32_t v)
{
	unsigned char *at = arena_alloc(p->mem, 4);
	put32(at, (uint32_t)v);
	put_value(p, OID_INT4, at, 4);
}

void db_put_i64(struct db_params *p, int64_t v)
{
	unsigned char *at = arena_alloc(p->mem, 8);
	put64(at, (uint64_t)v);
	put_value(p, OID_INT8, at, 8);
}

void db_put_id(struct db_params *p, uint64_t id)
{
	db_put_i64(p, (int64_t)id);
}

void db_put_id_or_null(struct db_params *p, uint64_t id)
{
	if (id == 0)
		put_value(p, OID_INT8, NULL, 0);
	else
		db_put_id(p, id);
}

void db_put_bool(struct db_params *p, bool v)
{
	unsigned char *at = arena_alloc(p->mem, 1);
	*at = v;
	put_value(p, OID_BOOL, at, 1);
}

void db_put_text(struct db_params *p, const char *text)
{
	put_value(p, OID_TEXT, arena_strdup(p->mem, text), text != NULL ? strlen(text) : 0);
}

void db_put_bytea(struct db_params *p, const void *bytes, size_t length)
{
	put_value(p, OID_BYTEA, bytes != NULL ? arena_memdup(p->mem, bytes, length) : NULL, length);
}

/* ---- arrays. The binary form: dimensions, has-nulls, element type, length, lower bound, then length and bytes of each. */

#define ARRAY_HEAD 20

static unsigned char *array_begin(
	struct db_params *p, uint32_t type, size_t count, bool nulls, size_t elements_bytes, size_t *out_size)
{
	size_t size = count > 0 ? ARRAY_HEAD + elements_bytes : 12;
	unsigned char *at = arena_alloc(p->mem, size);

	put32(at, count > 0);
	put32(at + 4, nulls);
	put32(at + 8, type);
	if (count > 0) {
		put32(at + 12, (uint32_t)count);
		put32(at + 16, 1);
	}
	*out_size = size;
	return at;
}

void db_put_i16s(struct db_params *p, const int16_t *v, size_t count)
{
	size_t size;
	unsigned char *array = array_begin(p, OID_INT2, count, false, count * 6, &size);
	unsigned char *at = array + ARRAY_HEAD;

	for (size_t i = 0; i < count; i++, at += 6) {
		put32(at, 2);
		put16(at + 4, (uint16_t)v[i]);
	}
	put_value(p, OID_INT2_ARRAY, array, size);
}

void db_put_i32s(struct db_params *p, const int32_t *v, size_t count)
{
	size_t size;
	unsigned char *array = array_begin(p, OID_INT4, count, false, count * 8, &size);
	unsigned char *at = array + ARRAY_HEAD;

	for (size_t i = 0; i < count; i++, at += 8) {
		put32(at, 4);
		put32(at + 4, (uint32_t)v[i]);
	}
	put_value(p, OID_INT4_ARRAY, array, size);
}

void db_put_i64s(struct db_params *p, const int64_t *v, size_t count)
{
	size_t size;
	unsigned char *array = array_begin(p, OID_INT8, count, false, count * 12, &size);
	unsigned char *at = array + ARRAY_HEAD;

	for (size_t i = 0; i < count; i++, at += 12) {
		put32(at, 8);
		put64(at + 4, (uint64_t)v[i]);
	}
	put_value(p, OID_INT8_ARRAY, array, size);
}

void db_put_ids(struct db_params *p, const uint64_t *v, size_t count)
{
	db_put_i64s(p, (const int64_t *)v, count);
}

void db_put_bools(struct db_params *p, const bool *v, size_t count)
{
	size_t size;
	unsigned char *array = array_begin(p, OID_BOOL, count, false, count * 5, &size);
	unsigned char *at = array + ARRAY_HEAD;

	for (size_t i = 0; i < count; i++, at += 5) {
		put32(at, 1);
		at[4] = v[i];
	}
	put_value(p, OID_BOOL_ARRAY, array, size);
}

static void put_bytes_array(struct db_params *p, uint32_t array_type, uint32_t type, const void *const *v,
	const size_t *lengths, size_t count)
{
	size_t total = count * 4, size;
	bool nulls = false;

	for (size_t i = 0; i < count; i++) {
		if (v[i] == NULL)
			nulls = true;
		else
			total += lengths[i];
	}
	unsigned char *array = array_begin(p, type, count, nulls, total, &size);
	unsigned char *at = array + ARRAY_HEAD;
	for (size_t i = 0; i < count; i++) {
		if (v[i] == NULL) {
			put32(at, UINT32_MAX);
			at += 4;
			continue;
		}
		put32(at, (uint32_t)lengths[i]);
		if (lengths[i] > 0)
			memcpy(at + 4, v[i], lengths[i]);
		at += 4 + lengths[i];
	}
	put_value(p, array_type, array, size);
}

void db_put_texts(struct db_params *p, const char *const *v, size_t count)
{
	size_t *lengths = ARENA_ARRAY(p->mem, count, size_t);

	for (size_t i = 0; i < count; i++)
		lengths[i] = v[i] != NULL ? strlen(v[i]) : 0;
	put_bytes_array(p, OID_TEXT_ARRAY, OID_TEXT, (const void *const *)v, lengths, count);
}

void db_put_byteas(struct db_params *p, const void *const *v, const size_t *lengths, size_t count)
{
	put_bytes_array(p, OID_BYTEA_ARRAY, OID_BYTEA, v, lengths, count);
}

#include "services/preview/strip.h"

#include <string.h>

enum format { JPEG, PNG, GIF, WEBP };
enum deed { DROP, KEEP, JFIF, TURN, FLAGS };

static const struct part {
	enum format format;
	const char *first, *last;
	enum deed deed;
	size_t length;
	const char *begins;
} parts[] = {
#define PART(format, first, last, begins, deed, what) {format, first, last, deed, sizeof begins - 1, begins},
#include "services/preview/strip.tbl.h"
#undef PART
};

/* Reading and planning at once. */
struct work {
	const uint8_t *bytes;
	size_t length;
	struct strip *out;
	bool turned; /* told already: the first one counts */
	bool full;   /* no room for more pieces */
};

static enum deed deed_of(enum format format, const void *name, size_t name_length, const uint8_t *content, size_t length)
{
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		const struct part *part = &parts[i];
		if (part->format == format && memcmp(name, part->first, name_length) >= 0 &&
			memcmp(name, part->last, name_length) <= 0 && length >= part->length &&
			memcmp(content, part->begins, part->length) == 0)
			return part->deed;
	}
	return DROP;
}

/* ---- the plan */

static void add(struct work *w, uint64_t at, uint64_t length)
{
	struct strip *out = w->out;
	struct strip_piece *last = out->answer.count > 0 ? &out->pieces[out->answer.count - 1] : NULL;

	if (length == 0)
		return;
	if (last != NULL && last->at + last->length == at)
		last->length += length;
	else if (out->answer.count < STRIP_PIECES_MOST)
		out->pieces[out->answer.count++] = (struct strip_piece){at, length};
	else
		w->full = true;
}

/* As much of it as there is. */
static void keep(struct work *w, size_t at, size_t length)
{
	if (at < w->length)
		add(w, at, length < w->length - at ? length : w->length - at);
}

/* Where these bytes are, to be changed when more is known. A picture has one of each kind that is made; what has more is refused. */
static uint8_t *make(struct work *w, const void *bytes, size_t length)
{
	struct strip_answer *answer = &w->out->answer;

	if (length > STRIP_MADE_MOST - answer->made_length) {
		w->full = true;
		return answer->made;
	}
	uint8_t *at = answer->made + answer->made_length;
	memcpy(at, bytes, length);
	add(w, STRIP_MADE + answer->made_length, length);
	answer->made_length += (uint32_t)length;
	return at;
}

/* ---- numbers */

static uint32_t big(const uint8_t *b, size_t n)
{
	uint32_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | b[i];
	return value;
}

static uint32_t little(const uint8_t *b, size_t n)
{
	uint32_t value = 0;

	for (size_t i = n; i > 0; i--)
		value = value << 8 | b[i - 1];
	return value;
}

static void put_big(uint8_t *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put_little(uint8_t *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

/* ---- how it is to be turned */

#define TIFF_HEAD      8
#define TIFF_ENTRY     12
#define TAG_TURN       0x0112
#define TYPE_SHORT     3
#define TURN_BYTES     26
#define TURN_VALUE_LOW 19

/* The only thing that stays of EXIF: a directory with this one entry. */
static const uint8_t turn_only[TURN_BYTES] = {'M', 'M', 0, 42, 0, 0, 0, TIFF_HEAD, /* one entry: */ 0, 1,
	/* tag, type, count, value */ 0x01, 0x12, 0, TYPE_SHORT, 0, 0, 0, 1, 0, 0 /* here */, 0, 0, /* no further one */ 0, 0, 0, 0};

/* 1 to 8 as in CIPA DC-008; 1, upright, also when nothing is said. */
static uint8_t turn_of(const uint8_t *tiff, size_t length)
{
	if (length < TIFF_HEAD || (memcmp(tiff, "II*\0", 4) != 0 && memcmp(tiff, "MM\0*", 4) != 0))
		return 1;
	uint32_t (*number)(const uint8_t *, size_t) = tiff[0] == 'I' ? little : big;
	size_t at = number(tiff + 4, 4);
	if (at > length - 2)
		return 1;
	size_t entries = number(tiff + at, 2);
	at += 2;
	for (size_t i = 0; i < entries && length - at >= TIFF_ENTRY; i++, at += TIFF_ENTRY)
		if (number(tiff + at, 2) == TAG_TURN && number(tiff + at + 2, 2) == TYPE_SHORT) {
			uint32_t turn = number(tiff + at + 8, 2);
			return turn >= 1 && turn <= 8 ? (uint8_t)turn : 1;
		}
	return 1;
}

/* True when there is something to say that was not said before; turn: TURN_BYTES. */
static bool turn_stays(struct work *w, const uint8_t *tiff, size_t length, uint8_t *turn)
{
	uint8_t value = w->turned ? 1 : turn_of(tiff, length);

	if (value == 1)
		return false;
	w->turned = true;
	memcpy(turn, turn_only, TURN_BYTES);
	turn[TURN_VALUE_LOW] = value;
	return true;
}

/* ---- JPEG */

enum {
	MARK_TEM = 0x01,
	MARK_FRAME = 0xC0,
	MARK_RESTART = 0xD0,
	MARK_START = 0xD8,
	MARK_END = 0xD9,
	MARK_SCAN = 0xDA,
	MARK_EXTENSION = 0xF0, /* and up to 0xFD; no decoder of pictures knows them */
	MARK_COMMENT = 0xFE,
};

/* Those of 0xC0 to 0xCF that are not: tables, and one reserved. */
static bool is_frame(uint8_t mark)
{
	return mark >= MARK_FRAME && mark <= 0xCF && mark != 0xC4 && mark != 0xC8 && mark != 0xCC;
}

static bool is_restart(uint8_t mark)
{
	return mark >= MARK_RESTART && mark < MARK_START;
}

/* In a scan: 0xFF of its data is followed by 0, restarts belong to it, and what damage made of its bytes is for decoders to get over. */
static bool is_data(uint8_t mark)
{
	return mark < MARK_FRAME || is_restart(mark) || mark == MARK_START || (mark >= MARK_EXTENSION && mark < MARK_COMMENT);
}

/* Where its 0xFF is; the end when there is none. */
static size_t next_mark(const struct work *w, size_t at, bool in_scan)
{
	while (w->length - at >= 2) {
		const uint8_t *found = memchr(w->bytes + at, 0xFF, w->length - at - 1);
		if (found == NULL)
			break;
		at = (size_t)(found - w->bytes);
		uint8_t mark = found[1];
		if (mark != 0 && mark != 0xFF && !(in_scan && is_data(mark)))
			return at;
		at++;
	}
	return w->length;
}

/* Room of a JFIF segment up to the size of its small picture. */
#define JFIF_HEAD 16

static void segment(struct work *w, size_t at, size_t whole)
{
	const uint8_t *content = w->bytes + at + 4;
	size_t length = (whole < w->length - at ? whole : w->length - at) - 4;
	uint8_t exif[4 + 6 + TURN_BYTES] = {0xFF, 0xE1, 0, 2 + 6 + TURN_BYTES, 'E', 'x', 'i', 'f', 0, 0};

	switch (deed_of(JPEG, w->bytes + at + 1, 1, content, length)) {
	case KEEP:
		keep(w, at, whole);
		return;
	case JFIF:
		if (whole <= 2 + JFIF_HEAD) {
			keep(w, at, whole);
			return;
		}
		make(w, "\xFF\xE0\0\x10", 4);
		keep(w, at + 4, JFIF_HEAD - 4);
		make(w, "\0\0", 2);
		return;
	case TURN:
		if (length > 6 && turn_stays(w, content + 6, length - 6, exif + 10))
			make(w, exif, sizeof exif);
		return;
	case FLAGS:
	case DROP:
		return;
	}
}

static bool plan_jpeg(struct work *w)
{
	bool frame = false, scans = false, in_scan = false;
	size_t at = 2;

	keep(w, 0, 2);
	for (;;) {
		size_t mark = next_mark(w, at, in_scan);
		if (in_scan)
			keep(w, at, mark - at);
		if (w->length - mark < 4) {
			keep(w, mark, w->length - mark >= 2 && w->bytes[mark + 1] == MARK_END ? 2 : 0);
			break;
		}
		uint8_t what = w->bytes[mark + 1];
		if (what == MARK_END) {
			keep(w, mark, 2);
			break;
		}
		if (is_restart(what) || what == MARK_TEM) { /* lost: it means nothing here */
			at = mark + 2;
			continue;
		}
		size_t whole = 2 + big(w->bytes + mark + 2, 2);
		if (is_data(what) || whole < 4)
			break;
		segment(w, mark, whole);
		frame = frame || is_frame(what);
		in_scan = what == MARK_SCAN;
		scans = scans || in_scan;
		if (whole >= w->length - mark)
			break;
		at = mark + whole;
	}
	return frame && scans;
}

/* ---- PNG */

#define PNG_MARK  8
#define PNG_FRAME 12 /* length, name and checksum of a chunk */

static bool is_letter(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* The CRC-32 of a chunk: PNG, annex D. */
static uint32_t checksum(const uint8_t *bytes, size_t length)
{
	uint32_t c = UINT32_MAX;

	for (size_t i = 0; i < length; i++) {
		c ^= bytes[i];
		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ UINT32_C(0xEDB88320) : c >> 1;
	}
	return ~c;
}

static bool plan_png(struct work *w)
{
	bool pixels = false;

	keep(w, 0, PNG_MARK);
	for (size_t at = PNG_MARK; w->length - at >= 8;) {
		const uint8_t *chunk = w->bytes + at, *name = chunk + 4;
		size_t length = big(chunk, 4), whole = PNG_FRAME + length, there = w->length - at - 8;
		uint8_t turn[PNG_FRAME + TURN_BYTES] = {0, 0, 0, TURN_BYTES, 'e', 'X', 'I', 'f'};

		if (length > INT32_MAX || !is_letter(name[0]) || !is_letter(name[1]) || !is_letter(name[2]) || !is_letter(name[3]) ||
			(at == PNG_MARK && memcmp(name, "IHDR", 4) != 0))
			break;
		enum deed deed = deed_of(PNG, name, 4, name + 4, there);
		if (deed == DROP && (name[0] & 0x20) == 0)
			break; /* without which nobody can show it, and nobody knows it */
		if (deed == KEEP)
			keep(w, at, whole);
		if (deed == TURN && turn_stays(w, name + 4, length < there ? length : there, turn + 8)) {
			put_big(turn + 8 + TURN_BYTES, checksum(turn + 4, 4 + TURN_BYTES));
			make(w, turn, sizeof turn);
		}
		pixels = pixels || memcmp(name, "IDAT", 4) == 0;
		if (memcmp(name, "IEND", 4) == 0 || whole >= w->length - at)
			break;
		at += whole;
	}
	return pixels;
}

/* ---- GIF */

enum { GIF_HEAD = 13, GIF_IMAGE = 10, GIF_LABEL = 2, GIF_IMAGE_MARK = 0x2C, GIF_EXTENSION = 0x21, GIF_END = 0x3B, GIF_TABLE = 0x80 };

static size_t colours(uint8_t flags)
{
	return flags & GIF_TABLE ? (size_t)3 << ((flags & 7) + 1) : 0;
}

/* Behind the blocks of data that begin at `at`, and the empty one that ends them; w->length when they do not end. */
static size_t behind_data(const struct work *w, size_t at)
{
	while (at < w->length && w->bytes[at] != 0)
		at += 1 + (size_t)w->bytes[at];
	return at < w->length ? at + 1 : w->length;
}

static bool plan_gif(struct work *w)
{
	bool picture = false;

	if (w->length < GIF_HEAD)
		return false;
	size_t at = GIF_HEAD + colours(w->bytes[GIF_HEAD - 3]);
	keep(w, 0, at);
	while (at < w->length && w->bytes[at] != GIF_END) {
		size_t left = w->length - at, end;
		const uint8_t *block = w->bytes + at, *name = block;

		if (block[0] == 0) { /* between blocks some write one more end */
			at++;
			continue;
		}
		if (block[0] != GIF_IMAGE_MARK && block[0] != GIF_EXTENSION)
			return picture;
		if (left < (block[0] == GIF_IMAGE_MARK ? GIF_IMAGE : GIF_LABEL))
			return picture;
		if (block[0] == GIF_IMAGE_MARK) {
			picture = true;
			end = behind_data(w, at + GIF_IMAGE + colours(block[GIF_IMAGE - 1]) + 1);
		} else {
			name = block + 1;
			end = behind_data(w, at + 2);
		}
		if (deed_of(GIF, name, 1, block + 2, left - 2) == KEEP)
			keep(w, at, end - at);
		at = end;
	}
	keep(w, at, 1);
	return picture;
}

/* ---- WebP */

enum { WEBP_HEAD = 12, WEBP_CHUNK = 8, WEBP_HAS_EXIF = 0x08, WEBP_HAS_XMP = 0x04 };

static bool is_pixels(const uint8_t *name)
{
	return memcmp(name, "VP8 ", 4) == 0 || memcmp(name, "VP8L", 4) == 0 || memcmp(name, "ANMF", 4) == 0;
}

static bool plan_webp(struct work *w)
{
	const uint8_t *b = w->bytes;
	uint8_t *flags = NULL;
	bool pixels = false;

	/* As long as it says, unless it ends in its middle; then it goes on saying how much is missing. */
	uint64_t said = (uint64_t)little(b + 4, 4) + 8;
	uint64_t missing = said > w->length ? said - w->length : 0;
	w->length = missing == 0 ? (size_t)said : w->length;
	if (w->length < WEBP_HEAD || memcmp(b, "RIFF", 4) != 0)
		return false;
	keep(w, 0, 4);
	uint8_t *size = make(w, b + 4, 4);
	keep(w, 8, 4);
	for (size_t at = WEBP_HEAD; w->length - at >= WEBP_CHUNK;) {
		const uint8_t *content = b + at + WEBP_CHUNK;
		uint64_t length = little(b + at + 4, 4), whole = WEBP_CHUNK + length + (length & 1);
		size_t left = w->length - at - WEBP_CHUNK, there = length < left ? (size_t)length : left;
		size_t stands = whole < w->length - at ? (size_t)whole : w->length - at;
		uint8_t turn[WEBP_CHUNK + TURN_BYTES] = {'E', 'X', 'I', 'F', TURN_BYTES};

		switch (deed_of(WEBP, b + at, 4, content, there)) {
		case KEEP:
			keep(w, at, stands);
			break;
		case FLAGS:
			if (flags != NULL || there == 0)
				return false;
			keep(w, at, WEBP_CHUNK);
			flags = make(w, content, 1);
			*flags &= (uint8_t) ~(WEBP_HAS_EXIF | WEBP_HAS_XMP);
			keep(w, at + WEBP_CHUNK + 1, stands - WEBP_CHUNK - 1);
			break;
		case TURN:
			/* Some write it as JPEG has it. */
			if (there > 6 && memcmp(content, "Exif\0", 6) == 0) {
				content += 6;
				there -= 6;
			}
			if (flags != NULL && turn_stays(w, content, there, turn + WEBP_CHUNK)) {
				make(w, turn, sizeof turn);
				*flags |= WEBP_HAS_EXIF;
			}
			break;
		case JFIF:
		case DROP:
			break;
		}
		pixels = pixels || is_pixels(b + at);
		if (whole >= w->length - at)
			break;
		at += (size_t)whole;
	}
	uint64_t stays = missing;
	for (uint32_t i = 0; i < w->out->answer.count; i++)
		stays += w->out->pieces[i].length;
	put_little(size, (uint32_t)(stays - 8));
	return pixels && stays - 8 <= UINT32_MAX;
}

/* ---- all */

static const struct {
	size_t at, length;
	const char *mark;
	bool (*plan)(struct work *w);
} formats[] = {
	{0, 3, "\xFF\xD8\xFF", plan_jpeg},
	{0, PNG_MARK, "\x89PNG\r\n\x1A\n", plan_png},
	{0, 6, "GIF87a", plan_gif},
	{0, 6, "GIF89a", plan_gif},
	{8, 4, "WEBP", plan_webp},
};

bool strip_plan(const void *bytes, size_t length, struct strip *out)
{
	struct work w = {.bytes = bytes, .length = length, .out = out};

	out->answer = (struct strip_answer){.magic = STRIP_MAGIC};
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (length >= formats[i].at + formats[i].length &&
			memcmp(w.bytes + formats[i].at, formats[i].mark, formats[i].length) == 0)
			return formats[i].plan(&w) && !w.full;
	return false;
}

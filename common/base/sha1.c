/*
 * sha1 - FIPS 180-4, section 6.1, whole messages only.
 */
#include "common/base/sha1.h"

#include <string.h>

static uint32_t rotated(uint32_t value, unsigned bits)
{
	return value << bits | value >> (32 - bits);
}

static void block(uint32_t h[5], const uint8_t *bytes)
{
	uint32_t w[80];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 |
		       (uint32_t)bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
	for (int i = 16; i < 80; i++)
		w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);

	uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
	for (int i = 0; i < 80; i++) {
		uint32_t f, k;
		if (i < 20) {
			f = (b & c) | (~b & d);
			k = 0x5a827999;
		} else if (i < 40) {
			f = b ^ c ^ d;
			k = 0x6ed9eba1;
		} else if (i < 60) {
			f = (b & c) | (b & d) | (c & d);
			k = 0x8f1bbcdc;
		} else {
			f = b ^ c ^ d;
			k = 0xca62c1d6;
		}
		uint32_t next = rotated(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rotated(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void sha1(const void *bytes, size_t length, uint8_t out[SHA1_SIZE])
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	const uint8_t *at = bytes;
	size_t left = length;

	for (; left >= 64; at += 64, left -= 64)
		block(h, at);

	uint8_t tail[128] = {0};
	size_t tail_length = left < 56 ? 64 : 128;
	if (left > 0)
		memcpy(tail, at, left);
	tail[left] = 0x80;
	uint64_t bits = (uint64_t)length * 8;
	for (int i = 0; i < 8; i++)
		tail[tail_length - 1 - (size_t)i] = (uint8_t)(bits >> (8 * i));
	block(h, tail);
	if (tail_length == 128)
		block(h, tail + 64);

	for (int i = 0; i < SHA1_SIZE; i++)
		out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

#include "common/base/sha1.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/main.h"

static void expect(const char *text, size_t length, const char *hex)
{
	uint8_t hash[SHA1_SIZE];
	char got[2 * SHA1_SIZE + 1];

	sha1(text, length, hash);
	for (int i = 0; i < SHA1_SIZE; i++)
		snprintf(got + 2 * i, 3, "%02x", hash[i]);
	ck_assert_str_eq(got, hex);
}

START_TEST(the_vectors_of_the_standard_come_out)
{
	expect("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
	expect("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		"84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}
END_TEST

START_TEST(a_million_bytes_come_out)
{
	static char many[1000000];

	memset(many, 'a', sizeof many);
	expect(many, sizeof many, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}
END_TEST

START_TEST(lengths_around_the_padding_come_out)
{
	static const char text[65] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

	expect(text, 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a");
	expect(text, 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
	expect(text, 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
}
END_TEST

TESTS("sha1", the_vectors_of_the_standard_come_out, a_million_bytes_come_out,
	lengths_around_the_padding_come_out)

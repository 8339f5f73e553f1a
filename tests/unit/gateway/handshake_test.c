#include "services/gateway/handshake.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/main.h"

#define GOOD                                                                                                 \
	"GET /v1/ws?topics=a%2Cb&resume=1 HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\n"          \
	"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: "                                             \
	"dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
#define GOOD_WITHOUT_KEY                                                                                     \
	"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "  \
	"13\r\n"

static int code_of(const char *text)
{
	char bytes[HANDSHAKE_MAX_BYTES];
	size_t length = strlen(text), scanned = 0;
	struct handshake hs;

	memcpy(bytes, text, length + 1);
	ck_assert_uint_eq(handshake_complete(bytes, length, &scanned), length);
	return handshake_parse(bytes, length, &hs);
}

START_TEST(a_good_request_is_read)
{
	char bytes[] = GOOD "Authorization: Bearer abc\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
	struct handshake hs;
	char value[32];
	bool present;

	ck_assert_int_eq(handshake_parse(bytes, sizeof bytes - 1, &hs), 101);
	ck_assert_str_eq(hs.path, "/v1/ws");
	ck_assert_str_eq(hs.host, "chat.example");
	ck_assert_str_eq(hs.key, "dGhlIHNhbXBsZSBub25jZQ==");
	ck_assert_uint_eq(hs.forwarded_count, 1);
	ck_assert_str_eq(hs.forwarded[0], "192.0.2.7");
	ck_assert_str_eq(handshake_bearer(&hs), "abc");
	ck_assert(handshake_query(&hs, "topics", value, sizeof value, &present));
	ck_assert_str_eq(value, "a,b");
	ck_assert(handshake_query(&hs, "resume", value, sizeof value, &present));
	ck_assert_str_eq(value, "1");
	ck_assert(!handshake_query(&hs, "token", value, sizeof value, &present));
	ck_assert(!present);
}
END_TEST

START_TEST(every_line_about_whom_a_proxy_speaks_for_is_kept_and_of_many_the_last)
{
	char bytes[] = GOOD "X-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\nx-forwarded-for: 3\r\nX-Forwarded-For: 4\r\nX-Forwarded-For: 5\r\n"
			    "X-Forwarded-For: 6\r\nX-Forwarded-For: 7\r\nX-Forwarded-For: 8\r\nX-Forwarded-For: 9\r\n\r\n";
	struct handshake hs;

	ck_assert_int_eq(handshake_parse(bytes, sizeof bytes - 1, &hs), 101);
	ck_assert_uint_eq(hs.forwarded_count, HANDSHAKE_FORWARDED);
	ck_assert_str_eq(hs.forwarded[0], "2");
	ck_assert_str_eq(hs.forwarded[HANDSHAKE_FORWARDED - 1], "9");
}
END_TEST

START_TEST(single_bytes_find_the_end_and_what_follows_is_left)
{
	static const char text[] = GOOD "\r\nfirst frame";
	size_t head = strlen(GOOD "\r\n"), scanned = 0;

	for (size_t length = 0; length < head; length++)
		ck_assert_uint_eq(handshake_complete(text, length, &scanned), 0);
	ck_assert_uint_eq(handshake_complete(text, sizeof text - 1, &scanned), head);
	scanned = 0;
	for (size_t cut = 0; cut < sizeof text - 1; cut++) {
		size_t seen = 0;
		size_t first = handshake_complete(text, cut, &seen);
		ck_assert_uint_eq(
			first != 0 ? first : handshake_complete(text, sizeof text - 1, &seen), head);
	}
}
END_TEST

START_TEST(the_key_of_the_rfc_is_accepted_as_there)
{
	char out[256];
	size_t length = handshake_accept("dGhlIHNhbXBsZSBub25jZQ==", &(struct extensions){0}, out, sizeof out);

	ck_assert_uint_eq(length, strlen(out));
	ck_assert_ptr_nonnull(strstr(out, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
	ck_assert_int_eq(strncmp(out, "HTTP/1.1 101 ", 13), 0);
}
END_TEST

START_TEST(the_absolute_form_of_a_target_is_its_path)
{
	static const char *const good[] = {"http://chat.example/v1/ws?a=b", "HTTPS://chat.example:8443/v1/ws?a=b"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		char bytes[512];
		struct handshake hs;
		snprintf(bytes, sizeof bytes, "GET %s%s\r\n", good[i], strstr(GOOD, " HTTP/1.1"));
		ck_assert_int_eq(handshake_parse(bytes, strlen(bytes), &hs), 101);
		ck_assert_str_eq(hs.path, "/v1/ws");
		ck_assert_str_eq(hs.query, "a=b");
	}
	ck_assert_int_eq(code_of("GET http://chat.example HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
	ck_assert_int_eq(code_of("GET ftp://chat.example/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
}
END_TEST

START_TEST(extensions_and_the_origin_are_read)
{
	char bytes[] = GOOD "Sec-WebSocket-Extensions: x-unknown\r\nOrigin: https://chat.example\r\n"
			    "sec-websocket-extensions: permessage-deflate; server_max_window_bits=10\r\n\r\n";
	struct handshake hs;
	char out[384];

	ck_assert_int_eq(handshake_parse(bytes, sizeof bytes - 1, &hs), 101);
	ck_assert_str_eq(hs.origin, "https://chat.example");
	ck_assert_int_eq(hs.extensions.deflate, DEFLATE_SMALL);
	ck_assert_uint_eq(handshake_accept(hs.key, &hs.extensions, out, sizeof out), strlen(out));
	ck_assert_ptr_nonnull(strstr(out, "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
					  "client_no_context_takeover; server_max_window_bits=10\r\n\r\n"));
}
END_TEST

START_TEST(what_is_no_websocket_is_426)
{
	ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 426);
	ck_assert_int_eq(
		code_of("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"), 426);
	ck_assert_int_eq(
		code_of("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n"), 426);
	ck_assert_int_eq(
		code_of("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n"),
		426);
}
END_TEST

START_TEST(another_method_is_405_and_another_version_505)
{
	ck_assert_int_eq(code_of("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
	ck_assert_int_eq(code_of("GET / HTTP/1.0\r\nHost: x\r\n\r\n"), 505);
}
END_TEST

START_TEST(what_is_malformed_is_400)
{
	static const char *const bad[] = {
		"GET\r\n\r\n", "GET /\r\n\r\n", "G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET x HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTX/1.1\r\nHost: x\r\n\r\n", GOOD_WITHOUT_KEY "\r\n",
		GOOD_WITHOUT_KEY "Sec-WebSocket-Key: short==\r\n\r\n",
		GOOD_WITHOUT_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n\r\n", /* spare bits set */
		GOOD_WITHOUT_KEY "Sec-WebSocket-Key: dGhlIHNhbXBs*SBub25jZQ==\r\n\r\n",
		GOOD "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", /* twice */
		GOOD "Host: y\r\n\r\n", GOOD "Origin: a\r\nOrigin: b\r\n\r\n",
		GOOD "Sec-WebSocket-Extensions: permessage-deflate;\r\n\r\n", GOOD "Content-Length: 5\r\n\r\n",
		GOOD "Transfer-Encoding: chunked\r\n\r\n", GOOD "Bad Name: x\r\n\r\n",
		GOOD "Name : x\r\n\r\n", GOOD ": x\r\n\r\n", GOOD "no colon\r\n\r\n",
		GOOD " folded: x\r\n\r\n", GOOD "A: b\nB: c\r\n\r\n", GOOD "A: b\rB: c\r\n\r\n",
		"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
		"dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Version: 13\r\n\r\n", /* no Host */
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(code_of(bad[i]) == 400, "row %zu: %d", i, code_of(bad[i]));
}
END_TEST

START_TEST(a_bad_escape_is_there_but_not_readable)
{
	static const char *const bad[] = {"a=%", "a=%4", "a=%zz", "a=%00", "a=12345678"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char query[32], value[8];
		bool present;
		snprintf(query, sizeof query, "b=1&%s", bad[i]);
		struct handshake hs = {.query = query};
		ck_assert(!handshake_query(&hs, "a", value, sizeof value, &present));
		ck_assert(present);
	}
}
END_TEST

START_TEST(refusals_are_whole_responses)
{
	static const int codes[] = {400, 403, 404, 405, 426, 431, 503, 505};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		char out[512];
		size_t length = handshake_refuse(codes[i], out, sizeof out), announced = 0;
		ck_assert_uint_eq(length, strlen(out));
		ck_assert_int_eq(atoi(out + 9), codes[i]);
		ck_assert_int_eq(
			sscanf(strstr(out, "Content-Length: "), "Content-Length: %zu", &announced), 1);
		ck_assert_uint_eq(strlen(strstr(out, "\r\n\r\n") + 4), announced);
	}
}
END_TEST

START_TEST(a_cookie_is_found_by_its_whole_name)
{
	char bytes[] = GOOD "Cookie: ajwt=1; jwt=the.token; jwtb=2\r\n\r\n", value[16], small[4];
	struct handshake hs;

	ck_assert_int_eq(handshake_parse(bytes, sizeof bytes - 1, &hs), 101);
	ck_assert(handshake_cookie(&hs, "jwt", value, sizeof value));
	ck_assert_str_eq(value, "the.token");
	ck_assert(handshake_cookie(&hs, "jwtb", value, sizeof value));
	ck_assert_str_eq(value, "2");
	ck_assert(!handshake_cookie(&hs, "wt", value, sizeof value));
	ck_assert(!handshake_cookie(&hs, "jwt", small, sizeof small));
	hs.cookie = NULL;
	ck_assert(!handshake_cookie(&hs, "jwt", value, sizeof value));
	ck_assert_int_eq(code_of(GOOD "Cookie: a=1\r\nCookie: b=2\r\n\r\n"), 400);
}
END_TEST

START_TEST(an_answer_in_place_of_the_upgrade_is_whole)
{
	char out[512];
	size_t length = handshake_answer(200, "OK", "application/json", "{\"error\":1}", out, sizeof out);

	ck_assert_uint_eq(length, strlen(out));
	ck_assert_str_eq(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"error\":1}");
}
END_TEST

TESTS("handshake", a_good_request_is_read, every_line_about_whom_a_proxy_speaks_for_is_kept_and_of_many_the_last, single_bytes_find_the_end_and_what_follows_is_left,
	the_key_of_the_rfc_is_accepted_as_there, the_absolute_form_of_a_target_is_its_path,
	extensions_and_the_origin_are_read, what_is_no_websocket_is_426,
	another_method_is_405_and_another_version_505, what_is_malformed_is_400,
	a_bad_escape_is_there_but_not_readable, refusals_are_whole_responses, a_cookie_is_found_by_its_whole_name,
	an_answer_in_place_of_the_upgrade_is_whole)

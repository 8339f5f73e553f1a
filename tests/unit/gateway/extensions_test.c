#include "services/gateway/extensions.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/main.h"

#define ANSWER "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"

static struct extensions agreed_on(const char *value)
{
	struct extensions out = {0};

	ck_assert_msg(extensions_offered(value, &out), "%s", value);
	return out;
}

START_TEST(a_good_offer_is_answered_exactly)
{
	static const struct {
		const char *offer, *bits;
		enum deflate_class class;
	} rows[] = {
		{"permessage-deflate", "", DEFLATE_FULL},
		{"permessage-deflate; client_max_window_bits", "", DEFLATE_FULL},
		{"permessage-deflate;client_max_window_bits=10", "", DEFLATE_FULL},
		{"permessage-deflate ; client_max_window_bits = \"8\"", "", DEFLATE_FULL},
		{"permessage-deflate; server_no_context_takeover", "", DEFLATE_FULL},
		{"permessage-deflate; client_no_context_takeover; server_no_context_takeover", "", DEFLATE_FULL},
		{"permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15", DEFLATE_FULL},
		{"permessage-deflate; server_max_window_bits=14", "; server_max_window_bits=14", DEFLATE_SMALL},
		{"permessage-deflate; server_max_window_bits=9", "; server_max_window_bits=9", DEFLATE_SMALL},
		{"permessage-deflate; server_max_window_bits=8", "; server_max_window_bits=8", DEFLATE_SMALL},
		{"permessage-deflate; server_max_window_bits=\"1\\2\"", "; server_max_window_bits=12", DEFLATE_SMALL},
		{"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; "
		 "client_max_window_bits=15",
			"; server_max_window_bits=10", DEFLATE_SMALL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct extensions agreed = agreed_on(rows[i].offer);
		char out[160], expected[160];
		ck_assert_msg(agreed.deflate == rows[i].class, "%s", rows[i].offer);
		snprintf(expected, sizeof expected, ANSWER "%s\r\n", rows[i].bits);
		ck_assert_uint_eq(extensions_answer(&agreed, out, sizeof out), strlen(expected));
		ck_assert_str_eq(out, expected);
	}
}
END_TEST

START_TEST(an_offer_with_a_wrong_parameter_is_passed_over)
{
	static const char *const rows[] = {"server_no_context_takeover=1", "client_no_context_takeover=\"x\"",
		"server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08",
		"server_max_window_bits=010", "server_max_window_bits=9x", "server_max_window_bits=100000000000000009",
		"client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=+9", "unknown", "unknown=9",
		"SERVER_NO_CONTEXT_TAKEOVER", "server_no_context_takeover; server_no_context_takeover",
		"client_no_context_takeover; client_no_context_takeover", "server_max_window_bits=9; server_max_window_bits=9",
		"client_max_window_bits; client_max_window_bits=9"};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char offer[200], answer[160];
		snprintf(offer, sizeof offer, "permessage-deflate; %s", rows[i]);
		struct extensions agreed = agreed_on(offer);
		ck_assert_msg(agreed.deflate == DEFLATE_NONE, "%s", offer);
		ck_assert_uint_eq(extensions_answer(&agreed, answer, sizeof answer), 0);
		/* The next one of the list may be better. */
		snprintf(offer, sizeof offer, "permessage-deflate; %s, permessage-deflate; server_max_window_bits=15", rows[i]);
		agreed = agreed_on(offer);
		ck_assert_msg(agreed.deflate == DEFLATE_FULL, "%s", offer);
		ck_assert_uint_eq(agreed.server_bits, 15);
	}
}
END_TEST

START_TEST(the_first_good_offer_counts_in_one_header_and_over_several)
{
	struct extensions agreed = agreed_on("x-webkit-deflate-frame, , permessage-deflate; server_max_window_bits=9, permessage-deflate");

	ck_assert_int_eq(agreed.deflate, DEFLATE_SMALL);
	agreed = (struct extensions){0};
	ck_assert(extensions_offered("bbf-usp-protocol; eid=\"doc:usp\"", &agreed) == false); /* quoted, and no token */
	agreed = (struct extensions){0};
	ck_assert(extensions_offered("mux; max-channels=4; flow-control", &agreed));
	ck_assert_int_eq(agreed.deflate, DEFLATE_NONE);
	ck_assert(extensions_offered("permessage-deflate", &agreed));
	ck_assert(extensions_offered("permessage-deflate; server_max_window_bits=9", &agreed));
	ck_assert_int_eq(agreed.deflate, DEFLATE_FULL);
}
END_TEST

START_TEST(what_is_no_list_of_extensions_is_told_apart)
{
	static const char *const rows[] = {"", " ", ",", ";", "permessage-deflate;", "permessage-deflate; ;x", "permessage-deflate; =9",
		"permessage-deflate; server_max_window_bits=", "permessage-deflate; server_max_window_bits=;x", "permessage-deflate x",
		"permessage-deflate; a b", "permessage-deflate; server_max_window_bits=\"9", "permessage-deflate; server_max_window_bits=\"\"",
		"permessage-deflate; server_max_window_bits=\"9\\\"", "permessage-deflate; a=\"b c\"", "permessage-deflate, ;x", "(x)",
		"permessage-deflate; a=b=c", "\"permessage-deflate\""};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct extensions out = {0};
		ck_assert_msg(!extensions_offered(rows[i], &out), "%s", rows[i]);
	}
}
END_TEST

TESTS("extensions", a_good_offer_is_answered_exactly, an_offer_with_a_wrong_parameter_is_passed_over,
	the_first_good_offer_counts_in_one_header_and_over_several, what_is_no_list_of_extensions_is_told_apart)

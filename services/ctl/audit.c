/*
 * audit - audit verify: recomputes a team's chain through moderation, page after page, and names the first entry that is
 * not what it was.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/ids.h"
#include "common/events/events.h"
#include "common/rpc/stubs.h"
#include "services/ctl/commands.h"

#define HASH_BYTES 32

struct found {
	uint64_t team_id, checked, last_no, broken_no;
	uint8_t last_hash[HASH_BYTES];
	const char *broken;
};

static const char *broken_in_words(const char *word)
{
	static const char *const words[][2] = {
		{"hash", "its hash is not that of what it says"},
		{"prev_hash", "it does not follow the entry before it"},
		{"missing", "it is not there"},
		{"end", "the log does not end where it should"},
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(word, words[i][0]) == 0)
			return words[i][1];
	return word;
}

/* NO:HASH as this command printed it. */
static bool anchor_read(const char *text, struct found *out)
{
	char *end = NULL;
	size_t length = 0;

	out->last_no = strtoull(text, &end, 10);
	return end != text && out->last_no > 0 && *end == ':' &&
	       sodium_hex2bin(out->last_hash, sizeof out->last_hash, end + 1, strlen(end + 1), NULL, &length, NULL) == 0 &&
	       length == HASH_BYTES;
}

static enum status walk(struct ctl *ctl, struct rpc_client *moderation, struct found *f, struct rpc_outcome *outcome)
{
	for (;;) {
		pb_VerifyAuditRequest rq = {.team_id = f->team_id, .after_no = f->last_no};
		struct rpc_context ctx = ctl_context(ctl, false);
		pb_VerifyAuditReply reply;

		if (f->last_no != 0)
			rq.after_hash = pb_bytes_from(ctl->mem, f->last_hash, HASH_BYTES);
		enum status st = moderation_verify_audit(moderation, ctl->mem, &ctx, &rq, &reply, outcome);
		if (st != STATUS_OK)
			return st;
		f->checked += reply.checked;
		f->last_no = reply.last_no;
		if (reply.last_hash != NULL && reply.last_hash->size == HASH_BYTES)
			memcpy(f->last_hash, reply.last_hash->bytes, HASH_BYTES);
		f->broken_no = reply.broken_no;
		f->broken = arena_strdup(ctl->mem, reply.broken);
		if (f->broken != NULL || reply.complete || reply.checked == 0)
			return STATUS_OK;
	}
}

static void print_json(struct ctl *ctl, const struct found *f, const char *hash)
{
	struct json_writer w;

	jw_begin(&w, ctl->mem, 256);
	jw_object(&w);
	jw_kv(&w, uuid, "team_id", f->team_id);
	jw_kv(&w, u64, "checked", f->checked);
	jw_kv(&w, u64, "last_no", f->last_no);
	jw_kv(&w, str, "last_hash", hash);
	jw_key(&w, "broken");
	if (f->broken == NULL) {
		jw_null(&w);
	} else {
		jw_object(&w);
		jw_kv(&w, u64, "no", f->broken_no);
		jw_kv(&w, str, "why", f->broken);
		jw_object_end(&w);
	}
	jw_object_end(&w);
	ctl_print_object(&w);
}

enum ctl_exit audit_verify_command(struct ctl *ctl, int argc, char **argv)
{
	const char *team = NULL, *after = NULL;
	const struct ctl_option options[] = {
		{"--after", CTL_TEXT, &after, 0, 0},
		{"--team", CTL_TEXT, &team, 0, 0},
	};
	struct found f = {0};
	struct rpc_outcome outcome;
	char hash[2 * HASH_BYTES + 1];
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 2, 0, 0, NULL, NULL);

	if (rc != CTL_OK)
		return rc;
	if (team == NULL)
		return ctl_misuse(ctl, "which team's? --team ID");
	if (ids_from_uuid(team, strlen(team), &f.team_id) != STATUS_OK)
		return ctl_misuse(ctl, "%s is no team's id", team);
	if (after != NULL && !anchor_read(after, &f))
		return ctl_misuse(ctl, "--after takes NUMBER:HASH, as this command prints them");
	struct rpc_client *moderation = ctl_peer(ctl, "moderation");
	if (moderation == NULL)
		return CTL_FAILED;
	if (walk(ctl, moderation, &f, &outcome) != STATUS_OK)
		return ctl_fail_call(ctl, "moderation", team, &outcome);
	sodium_bin2hex(hash, sizeof hash, f.last_hash, HASH_BYTES);
	if (ctl->json)
		print_json(ctl, &f, hash);
	else if (f.broken != NULL)
		printf("broken at entry %" PRIu64 ": %s; %" PRIu64 " entries before it are right\n", f.broken_no,
			broken_in_words(f.broken), f.checked);
	else
		printf("unbroken: %" PRIu64 " entries, the last is %" PRIu64 ":%s\n", f.checked, f.last_no, hash);
	return f.broken == NULL ? CTL_OK : CTL_FAILED;
}

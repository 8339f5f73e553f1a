/*
 * announce - the operator's word to everybody who is signed in: a call to api as the system.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/rpc/stubs.h"
#include "services/ctl/commands.h"

enum ctl_exit announce_command(struct ctl *ctl, int argc, char **argv)
{
	const char *title = NULL, *text = NULL, *until = NULL;
	const struct ctl_option options[] = {
		{"--text", CTL_TEXT, &text, 0, 0},
		{"--title", CTL_TEXT, &title, 0, 0},
		{"--until", CTL_TEXT, &until, 0, 0},
	};
	pb_AnnounceRequest rq = pb_AnnounceRequest_init_zero;
	pb_AnnounceReply reply;
	struct rpc_outcome outcome;
	struct rpc_client *api;
	struct rpc_context ctx;
	struct json_writer w;
	char uuid[IDS_UUID_SIZE];
	int64_t until_ms = 0;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, 3, 0, 0, NULL, NULL);

	if (rc != CTL_OK)
		return rc;
	if (title == NULL || text == NULL)
		return ctl_misuse(ctl, "what is announced? --title TEXT --text TEXT");
	if (until != NULL && clock_parse_rfc3339(until, strlen(until), &until_ms) != 0)
		return ctl_misuse(ctl, "--until is a time like 2026-12-24T18:00:00Z, not %s", until);
	api = ctl_peer(ctl, "api");
	if (api == NULL)
		return CTL_FAILED;
	rq.title = (char *)title;
	rq.text = (char *)text;
	rq.until_ms = (uint64_t)until_ms;
	ctx = ctl_context(ctl, true);
	if (api_announce(api, ctl->mem, &ctx, &rq, &reply, &outcome) != STATUS_OK)
		return ctl_fail_call(ctl, "api", "the announcement", &outcome);
	if (!ctl->json) {
		ids_to_uuid(reply.id, uuid);
		printf("announced, id %s\n", uuid);
		return CTL_OK;
	}
	jw_begin(&w, ctl->mem, 128);
	jw_object(&w);
	jw_kv(&w, uuid, "id", reply.id);
	jw_object_end(&w);
	ctl_print_object(&w);
	return CTL_OK;
}

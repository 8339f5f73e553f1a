#include "services/api/dialects/house/house.h"

#define ACTION_MOST 64

static void write_entry(struct json_writer *w, const void *items, size_t i)
{
	house_audit(w, &((const pb_AuditView *)items)[i]);
}

static uint64_t entry_id(const void *items, size_t i)
{
	return ((const pb_AuditView *)items)[i].id;
}

enum status house_audit_list(struct exchange *x)
{
	pb_ListAuditRequest request = {0};
	const char *action = NULL;
	struct house_page page;
	pb_ListAuditReply reply;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = house_query_id(x, "actor", &request.actor_id);
	if (st == STATUS_OK)
		st = house_query_id(x, "target", &request.target_id);
	if (st == STATUS_OK)
		st = house_query(x, "action", ACTION_MOST, &action);
	if (st != STATUS_OK)
		return st;
	request.action = (char *)action;
	request.before = page.before;
	request.after = page.after;
	request.limit = page.limit;
	st = ASK(x, moderation, list_audit, request.team_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){.count = reply.entries_count,
			.more = reply.more,
			.newest_first = true,
			.items = reply.entries,
			.write = write_entry,
			.id = entry_id});
}

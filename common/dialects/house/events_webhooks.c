#include "common/dialects/house/events_frame.h"

static void webhook_event(struct frame *f, const pb_WebhookEvent *e)
{
	const pb_WebhookView *webhook = &e->webhook;

	if (!e->has_webhook)
		return;
	struct json_writer *w = frame_open(f);
	jw_kv(w, uuid, "channel_id", webhook->channel_id);
	jw_kv(w, uuid, "webhook_id", webhook->id);
}

/* Without its url, which is for who manages it. */
static void detail(struct frame *f, const pb_WebhookEvent *e)
{
	if (!f->open || !f->detail)
		return;
	jw_key(&f->w, "webhook");
	house_webhook(&f->w, &e->webhook);
}

void house_render_webhook_created(struct frame *f)
{
	const pb_WebhookEvent *e = &f->body->body.webhook_created;

	webhook_event(f, e);
	if (f->open)
		jw_kv(&f->w, str, "name", e->webhook.name);
	detail(f, e);
}

void house_render_webhook_updated(struct frame *f)
{
	const pb_WebhookEvent *e = &f->body->body.webhook_updated;
	const pb_WebhookView *webhook = &e->webhook;
	struct json_writer *w = &f->w;

	webhook_event(f, e);
	if (!f->open)
		return;
	if (named(e->changed, e->changed_count, "name"))
		jw_kv(w, str, "name", webhook->name);
	if (named(e->changed, e->changed_count, "avatar_url"))
		jw_kv(w, str, "avatar_url", webhook->avatar);
	if (named(e->changed, e->changed_count, "bot_id"))
		jw_kv(w, uuid, "bot_id", webhook->bot_id);
	if (named(e->changed, e->changed_count, "trigger"))
		jw_kv(w, str, "trigger", webhook->trigger);
	detail(f, e);
}

void house_render_webhook_deleted(struct frame *f)
{
	webhook_event(f, &f->body->body.webhook_deleted);
}

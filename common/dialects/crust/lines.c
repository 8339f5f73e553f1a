#include "common/dialects/crust/lines.h"

#include "common/events/kinds.h"

static const char *arg(const pb_MessageView *message, size_t i)
{
	return i < message->line.args_count ? message->line.args[i] : "";
}

static const char *created_text(struct arena *mem, const pb_MessageView *m)
{
	const char *name = arg(m, 2), *topic = arg(m, 3);
	const char *text = arena_printf(mem, "<@%s> created %s channel", arg(m, 0), arg(m, 1));

	if (name[0] != '\0')
		text = arena_printf(mem, "%s **%s**", text, name);
	return name[0] != '\0' && topic[0] != '\0' ? arena_printf(mem, "%s, topic: %s", text, topic) : text;
}

const char *crust_line(struct arena *mem, const pb_MessageView *m)
{
	const char *a = arg(m, 0), *b = arg(m, 1), *c = arg(m, 2);

	switch ((enum system_template)m->line.template) {
	case SYSTEM_CREATED:
		return created_text(mem, m);
	case SYSTEM_RENAMED:
		return c[0] != '\0' ? arena_printf(mem, "<@%s> renamed channel **%s** (was: %s)", a, b, c)
				    : arena_printf(mem, "<@%s> set channel name to **%s**", a, b);
	case SYSTEM_TOPIC:
		return c[0] != '\0' ? arena_printf(mem, "<@%s> changed channel topic: %s (was: %s)", a, b, c)
				    : arena_printf(mem, "<@%s> set channel topic to %s", a, b);
	case SYSTEM_ARCHIVED:
		return arena_printf(mem, "<@%s> archived this channel", a);
	case SYSTEM_UNARCHIVED:
		return arena_printf(mem, "<@%s> unarchived this channel", a);
	case SYSTEM_DELETED:
		return arena_printf(mem, "<@%s> deleted this channel", a);
	case SYSTEM_UNDELETED:
		return arena_printf(mem, "<@%s> undeleted this channel", a);
	case SYSTEM_JOINED:
		return arena_printf(mem, "<@%s> joined", a);
	case SYSTEM_ADDED:
		return arena_printf(mem, "<@%s> added <@%s> to the channel", a, b);
	case SYSTEM_INVITED:
		return arena_printf(mem, "<@%s> invited <@%s> to the channel", a, b);
	case SYSTEM_LEFT:
		return arena_printf(mem, "<@%s> left the channel", a);
	case SYSTEM_REMOVED:
		return arena_printf(mem, "<@%s> removed from the channel", b);
	}
	return m->content;
}

#include "common/dialects/crust/order.h"

static unsigned char folded(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : (unsigned char)c;
}

/* strcasecmp would ask the locale of the process. */
static int by_name(const char *a, const char *b)
{
	for (; folded(*a) == folded(*b) && *a != '\0'; a++)
		b++;
	return folded(*a) - folded(*b);
}

int crust_channel_order(const pb_ChannelView *a, const pb_ChannelView *b)
{
	int order = by_name(a->name != NULL ? a->name : "", b->name != NULL ? b->name : "");

	return order != 0 ? order : a->id < b->id ? -1 : a->id > b->id;
}

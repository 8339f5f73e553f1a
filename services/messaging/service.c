#include "services/messaging/service.h"

#include "common/base/clock.h"

enum status service_next_id(struct service *s, uint64_t *out_id)
{
	return ids_next(s->ids, clock_wall_ms(), clock_mono_ms(), out_id);
}

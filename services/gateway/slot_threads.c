/*
 * slot_threads - the threads of one slot. See slots.h.
 */
#include "services/gateway/memory.h"
#include "services/gateway/slots.h"

static struct slot_thread *find(const struct slot *slot, uint64_t root_id)
{
	for (uint16_t i = 0; i < slot->threads_known; i++)
		if (slot->threads[i].root_id == root_id)
			return &slot->threads[i];
	return NULL;
}

const struct slot_thread *slot_thread(const struct slot *slot, uint64_t root_id)
{
	return slot != NULL && root_id != 0 ? find(slot, root_id) : NULL;
}

void slot_thread_remove(struct slot *slot, uint64_t root_id)
{
	struct slot_thread *thread = find(slot, root_id);

	if (thread != NULL)
		*thread = slot->threads[--slot->threads_known];
}

/* Of those that are all read, or of all, the oldest. There is one. */
static uint64_t dispensable(const struct slot *slot)
{
	const struct slot_thread *found = NULL;

	for (uint16_t i = 0; i < slot->threads_known; i++) {
		const struct slot_thread *thread = &slot->threads[i];
		bool unread = slot_thread_unread(thread) > 0, found_unread = found != NULL && slot_thread_unread(found) > 0;
		if (found == NULL || (found_unread && !unread) || (found_unread == unread && thread->root_id < found->root_id))
			found = thread;
	}
	return found->root_id;
}

struct slot_thread *slot_thread_add(struct slot *slot, uint64_t root_id)
{
	struct slot_thread *thread = find(slot, root_id);

	if (thread != NULL)
		return thread;
	if (slot->threads_known == SLOT_THREADS_MOST)
		slot_thread_remove(slot, dispensable(slot));
	if (slot->threads_known == slot->threads_room) {
		slot->threads_room = slot->threads_room == 0 ? 2 : slot->threads_room * 2;
		slot->threads = memory_resize(slot->threads, slot->threads_room * sizeof *slot->threads);
	}
	thread = &slot->threads[slot->threads_known++];
	*thread = (struct slot_thread){.root_id = root_id};
	return thread;
}

void slot_threads_sum(struct slot *slot)
{
	slot->thread_count = slot->thread_total = 0;
	for (uint16_t i = 0; i < slot->threads_known; i++) {
		uint32_t unread = slot_thread_unread(&slot->threads[i]);
		slot->thread_count += unread;
		slot->thread_total += unread > 0;
	}
}

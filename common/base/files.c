#include "common/base/files.h"

#include <stdint.h>
#include <sys/resource.h>

size_t files_for_connections(void)
{
	struct rlimit limit = {1024, 1024}; /* the kernel's own, should it not say */

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		struct rlimit raised = {limit.rlim_max, limit.rlim_max};
		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	if (limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	size_t files = (size_t)limit.rlim_cur;
	return files > 2 * FILES_SPARE ? files - FILES_SPARE : files / 2;
}

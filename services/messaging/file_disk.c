#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "services/messaging/file_store.h"

#define UPLOADS "uploads"
/* "ab/cd/" and 64 digits. */
#define HASH_PATH_SIZE (6 + 2 * FILE_HASH_BYTES + 1)
/* Room for what is below the folder. */
#define PATH_SIZE (sizeof UPLOADS + 1 + FILE_UPLOAD_LENGTH)

struct disk {
	struct file_store store;
	int folder;
};

static enum status failed(const char *what, int why)
{
	log_warn("file_store_failed", LOG_STR("what", what), LOG_STR("why", strerrorname_np(why)));
	return why == ENOSPC || why == EDQUOT || why == EIO || why == EMFILE || why == ENFILE ? STATUS_BUSY : STATUS_INTERNAL;
}

static bool upload_path(char out[PATH_SIZE], const char *upload)
{
	size_t length = strlen(upload);

	if (length == 0 || length > FILE_UPLOAD_LENGTH ||
		strspn(upload, "0123456789abcdefghijklmnopqrstuvwxyz-") != length)
		return false;
	snprintf(out, PATH_SIZE, UPLOADS "/%s", upload);
	return true;
}

static void hash_path(char out[HASH_PATH_SIZE], const uint8_t hash[FILE_HASH_BYTES])
{
	char hex[2 * FILE_HASH_BYTES + 1];

	sodium_bin2hex(hex, sizeof hex, hash, FILE_HASH_BYTES);
	snprintf(out, HASH_PATH_SIZE, "%.2s/%.2s/%s", hex, hex + 2, hex);
}

static enum status disk_put(
	struct file_store *store, const char *upload, uint64_t offset, const struct iovec *parts, int count)
{
	struct disk *disk = (struct disk *)store;
	char path[PATH_SIZE];
	enum status st = STATUS_OK;

	if (!upload_path(path, upload) || offset > INT64_MAX)
		return STATUS_NOT_FOUND;
	int fd = openat(disk->folder, path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return failed("open", errno);
	for (int i = 0; i < count && st == STATUS_OK; i++) {
		const char *bytes = parts[i].iov_base;
		size_t left = parts[i].iov_len;
		while (left > 0 && st == STATUS_OK) {
			ssize_t n = pwrite(fd, bytes, left, (off_t)offset);
			if (n < 0) {
				st = failed("write", errno);
				break;
			}
			bytes += n;
			left -= (size_t)n;
			offset += (uint64_t)n;
		}
	}
	/* A network file system may say only now that there is no room. */
	if (close(fd) != 0 && st == STATUS_OK)
		st = failed("close", errno);
	return st;
}

static enum status open_upload(const struct disk *disk, const char *upload, int *out_fd)
{
	char path[PATH_SIZE];

	if (!upload_path(path, upload))
		return STATUS_NOT_FOUND;
	*out_fd = openat(disk->folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*out_fd < 0)
		return errno == ENOENT ? STATUS_NOT_FOUND : failed("open", errno);
	return STATUS_OK;
}

static enum status disk_length(struct file_store *store, const char *upload, uint64_t *out_bytes)
{
	struct stat found;
	int fd = -1;

	enum status st = open_upload((struct disk *)store, upload, &fd);
	if (st != STATUS_OK)
		return st;
	if (fstat(fd, &found) != 0)
		st = failed("stat", errno);
	else
		*out_bytes = (uint64_t)found.st_size;
	close(fd);
	return st;
}

/* What there is of it from there on, and the file closed. */
static enum status read_and_close(int fd, uint64_t offset, void *bytes, size_t most, size_t *out_n)
{
	enum status st = STATUS_OK;
	size_t have = 0;

	if (offset > INT64_MAX - most) /* behind every end */
		most = 0;
	while (have < most) {
		ssize_t n = pread(fd, (char *)bytes + have, most - have, (off_t)(offset + have));
		if (n < 0)
			st = failed("read", errno);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	close(fd);
	*out_n = st == STATUS_OK ? have : 0;
	return st;
}

static enum status disk_fetch(
	struct file_store *store, const char *upload, uint64_t offset, void *bytes, size_t most, size_t *out_n)
{
	int fd = -1;

	*out_n = 0;
	enum status st = open_upload((struct disk *)store, upload, &fd);
	return st == STATUS_OK ? read_and_close(fd, offset, bytes, most, out_n) : st;
}

/* A name in a folder is as durable as the folder. */
static enum status folder_sync(const struct disk *disk, const char *path)
{
	int fd = openat(disk->folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return failed("open", errno);
	enum status st = fsync(fd) == 0 ? STATUS_OK : failed("fsync", errno);
	close(fd);
	return st;
}

static enum status folder_make(const struct disk *disk, const char *path, const char *above)
{
	if (mkdirat(disk->folder, path, 0700) == 0)
		return folder_sync(disk, above);
	return errno == EEXIST ? STATUS_OK : failed("mkdir", errno);
}

static enum status disk_keep(struct file_store *store, const char *upload, const uint8_t hash[FILE_HASH_BYTES])
{
	struct disk *disk = (struct disk *)store;
	char from[PATH_SIZE], to[HASH_PATH_SIZE], outer[3], inner[6];
	int fd = -1;

	enum status st = open_upload(disk, upload, &fd);
	if (st != STATUS_OK)
		return st;
	if (fsync(fd) != 0)
		st = failed("fsync", errno);
	close(fd);
	upload_path(from, upload);
	hash_path(to, hash);
	snprintf(outer, sizeof outer, "%.2s", to);
	snprintf(inner, sizeof inner, "%.5s", to);
	if (st == STATUS_OK)
		st = folder_make(disk, outer, ".");
	if (st == STATUS_OK)
		st = folder_make(disk, inner, outer);
	if (st == STATUS_OK && renameat(disk->folder, from, disk->folder, to) != 0)
		st = failed("rename", errno);
	return st == STATUS_OK ? folder_sync(disk, inner) : st;
}

static enum status removed(const struct disk *disk, const char *path)
{
	return unlinkat(disk->folder, path, 0) == 0 || errno == ENOENT ? STATUS_OK : failed("unlink", errno);
}

static enum status disk_drop(struct file_store *store, const char *upload)
{
	char path[PATH_SIZE];

	return upload_path(path, upload) ? removed((struct disk *)store, path) : STATUS_NOT_FOUND;
}

static enum status disk_remove(struct file_store *store, const uint8_t hash[FILE_HASH_BYTES])
{
	char path[HASH_PATH_SIZE];

	hash_path(path, hash);
	return removed((struct disk *)store, path);
}

static enum status disk_read(struct file_store *store, const uint8_t hash[FILE_HASH_BYTES], uint64_t offset,
	void *bytes, size_t most, size_t *out_n)
{
	struct disk *disk = (struct disk *)store;
	char path[HASH_PATH_SIZE];

	*out_n = 0;
	hash_path(path, hash);
	int fd = openat(disk->folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? STATUS_NOT_FOUND : failed("open", errno);
	return read_and_close(fd, offset, bytes, most, out_n);
}

static enum status disk_sweep(struct file_store *store, int64_t before_ms, size_t *out_count)
{
	struct disk *disk = (struct disk *)store;
	struct dirent *entry;
	struct stat found;
	char path[PATH_SIZE];

	*out_count = 0;
	int fd = openat(disk->folder, UPLOADS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		int why = errno;
		if (fd >= 0)
			close(fd);
		return failed("open", why);
	}
	while ((entry = readdir(dir)) != NULL) {
		if (!upload_path(path, entry->d_name) ||
			fstatat(disk->folder, path, &found, AT_SYMLINK_NOFOLLOW) != 0 ||
			(int64_t)found.st_mtim.tv_sec * 1000 >= before_ms)
			continue;
		if (removed(disk, path) == STATUS_OK)
			++*out_count;
	}
	closedir(dir);
	return STATUS_OK;
}

static void disk_destroy(struct file_store *store)
{
	struct disk *disk = (struct disk *)store;

	close(disk->folder);
	free(disk);
}

static const struct file_store_calls calls = {
	.put = disk_put,
	.length = disk_length,
	.fetch = disk_fetch,
	.keep = disk_keep,
	.drop = disk_drop,
	.read = disk_read,
	.remove = disk_remove,
	.sweep = disk_sweep,
	.destroy = disk_destroy,
};

enum status file_disk_create(const char *folder, struct file_store **out_store)
{
	struct disk *disk = calloc(1, sizeof *disk);
	const char *what = "mkdir";

	if (disk == NULL)
		return STATUS_INTERNAL;
	disk->store.calls = &calls;
	disk->folder = -1;
	if (mkdir(folder, 0700) == 0 || errno == EEXIST) {
		what = "open";
		disk->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (disk->folder >= 0) {
		what = "mkdir";
		if (mkdirat(disk->folder, UPLOADS, 0700) == 0 || errno == EEXIST) {
			what = "write";
			if (faccessat(disk->folder, UPLOADS, W_OK | X_OK, AT_EACCESS) == 0) {
				*out_store = &disk->store;
				return STATUS_OK;
			}
		}
	}
	log_error("files_folder_unusable", LOG_STR("folder", folder), LOG_STR("what", what), LOG_STR("why", strerrorname_np(errno)),
		LOG_STR("do", "make GUILDHALL_FILES_DIR a folder that this process may write to"));
	if (disk->folder >= 0)
		close(disk->folder);
	free(disk);
	return STATUS_INTERNAL;
}

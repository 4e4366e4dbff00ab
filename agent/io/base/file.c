#include "io/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *file_why(int err)
{
	if (err == FILE_IRREGULAR)
		return "not a regular file";
	if (err == FILE_FOREIGN)
		return "another user owns it or may write to it";
	return strerror(err);
}

/* All of it, or what there is if it is cut meanwhile. */
static char *read_all(int fd, size_t size, size_t *len)
{
	char *text = malloc(size + 1);
	size_t got = 0;
	ssize_t n = 1;

	while (text && got < size && n != 0) {
		n = read(fd, text + got, size - got);
		if (n < 0 && errno != EINTR) {
			free(text);
			return NULL;
		}
		got += n > 0 ? (size_t)n : 0;
	}
	*len = got;
	return text;
}

/* Whoever can write to the file speaks to us with the owner's word. */
static bool is_own(const struct stat *st)
{
	return (st->st_uid == geteuid() || st->st_uid == 0) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static char *read_if(const char *path, size_t max, size_t *len, bool own)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	struct stat st;
	int why;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0) {
		if (!S_ISREG(st.st_mode))
			errno = S_ISDIR(st.st_mode) ? EISDIR : FILE_IRREGULAR;
		else if (own && !is_own(&st))
			errno = FILE_FOREIGN;
		else if ((uintmax_t)st.st_size > max)
			errno = EFBIG;
		else
			text = read_all(fd, (size_t)st.st_size, len);
	}
	why = errno;
	close(fd);
	errno = why;
	return text;
}

char *file_read(const char *path, size_t max, size_t *len)
{
	return read_if(path, max, len, false);
}

char *file_read_own(const char *path, size_t max, size_t *len)
{
	return read_if(path, max, len, true);
}

static bool sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	/* Some file systems have no such thing as a folder to sync. */
	bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
	int why = errno;

	if (fd >= 0)
		close(fd);
	free(dir);
	errno = why;
	return ok;
}

bool file_replace(const char *new, const char *path)
{
	return rename(new, path) == 0 && sync_folder(path);
}

int file_begin(const char *path, const char *new)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : FILE_IRREGULAR;
		return -1;
	}
	/* It may be a FIFO, which would hold up who opens it. */
	(void)unlink(new);
	return open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

bool file_write_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.p, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return false;
		s.p += n;
		s.len -= (size_t)n;
	}
	return true;
}

static bool fill(int fd, struct slice s, mode_t mode, bool synced)
{
	return fchmod(fd, mode) == 0 && file_write_all(fd, s) && (!synced || fsync(fd) == 0);
}

int file_save(const char *path, struct slice s, mode_t mode, bool synced)
{
	char new[PATH_MAX];
	int fd, err = 0;

	if (snprintf(new, sizeof(new), "%s.new", path) >= (int)sizeof(new))
		return ENAMETOOLONG;
	fd = file_begin(path, new);
	if (fd < 0)
		return errno;
	if (!fill(fd, s, mode, synced))
		err = errno;
	if (close(fd) != 0 && !err)
		err = errno;
	if (!err && !(synced ? file_replace(new, path) : rename(new, path) == 0))
		err = errno;
	if (err)
		unlink(new); /* it may be what fills the disk */
	return err;
}

#include "io/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *file_why(int err)
{
	return err == FILE_IRREGULAR ? "not a regular file" : strerror(err);
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

char *file_read(const char *path, size_t max, size_t *len)
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

#include "failing_io.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct fault fault = { .fd = -2 };
int accept_error;
char kept[KEPT_MAX + 1];
int folder_error;

/* Whether this call fails or how much it may do of *len: *result is set if it is not made. */
static bool fault_strikes(int fd, bool out, size_t *len, ssize_t *result)
{
	size_t left = fault.at - fault.done;

	if (fd != fault.fd || out != fault.out || fault.kind == FAULT_NONE)
		return false;
	if (fault.done < fault.at) {
		*len = *len < left ? *len : left;
		return false;
	}
	if (fault.kind == FAULT_SHORT || fault.kind == FAULT_BYTES) {
		fault.fired = true;
		if (fault.kind == FAULT_BYTES && *len > 1)
			*len = 1;
		return false;
	}
	if (fault.fired && fault.kind != FAULT_RESET && fault.kind != FAULT_END)
		return false;
	fault.fired = true;
	errno = fault.kind == FAULT_EINTR    ? EINTR
	        : fault.kind == FAULT_EAGAIN ? EAGAIN
	                                     : ECONNRESET;
	*result = fault.kind == FAULT_END ? 0 : -1;
	return true;
}

static ssize_t fault_note(int fd, bool out, ssize_t n)
{
	if (fd == fault.fd && out == fault.out && n > 0)
		fault.done += (size_t)n;
	return n;
}

/* The same for several pieces; iov is copied, because its lengths may shrink. */
#define FAULT_PIECES 64
static int fault_cut(struct iovec *cut, const struct iovec *iov, int n, size_t len)
{
	int used = 0;

	for (; used < n && used < FAULT_PIECES && len > 0; used++) {
		cut[used] = iov[used];
		if (cut[used].iov_len > len)
			cut[used].iov_len = len;
		len -= cut[used].iov_len;
	}
	return used;
}

static size_t fault_size(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

#define WRAPPED(result, name, ...)         \
	result __real_##name(__VA_ARGS__); \
	result __wrap_##name(__VA_ARGS__); \
	result __wrap_##name(__VA_ARGS__)

WRAPPED(ssize_t, recv, int fd, void *buf, size_t len, int flags)
{
	ssize_t n;

	return fault_strikes(fd, false, &len, &n)
	           ? n
	           : fault_note(fd, false, __real_recv(fd, buf, len, flags));
}

WRAPPED(ssize_t, read, int fd, void *buf, size_t len)
{
	ssize_t n;

	return fault_strikes(fd, false, &len, &n)
	           ? n
	           : fault_note(fd, false, __real_read(fd, buf, len));
}

WRAPPED(ssize_t, readv, int fd, const struct iovec *iov, int count)
{
	size_t len = fault_size(iov, count);
	struct iovec cut[FAULT_PIECES];
	ssize_t n;

	if (fault_strikes(fd, false, &len, &n))
		return n;
	count = fault_cut(cut, iov, count, len);
	return fault_note(fd, false, __real_readv(fd, cut, count));
}

WRAPPED(ssize_t, send, int fd, const void *buf, size_t len, int flags)
{
	ssize_t n;

	return fault_strikes(fd, true, &len, &n)
	           ? n
	           : fault_note(fd, true, __real_send(fd, buf, len, flags));
}

WRAPPED(ssize_t, write, int fd, const void *buf, size_t len)
{
	ssize_t n;

	return fault_strikes(fd, true, &len, &n) ? n
	                                         : fault_note(fd, true, __real_write(fd, buf, len));
}

WRAPPED(ssize_t, writev, int fd, const struct iovec *iov, int count)
{
	size_t len = fault_size(iov, count);
	struct iovec cut[FAULT_PIECES];
	ssize_t n;

	if (fault_strikes(fd, true, &len, &n))
		return n;
	count = fault_cut(cut, iov, count, len);
	return fault_note(fd, true, __real_writev(fd, cut, count));
}

WRAPPED(int, accept4, int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	int got;

	if (accept_error) {
		errno = accept_error;
		accept_error = 0;
		return -1;
	}
	got = __real_accept4(fd, sa, len, flags);
	if (got >= 0 && fault.fd == -1)
		fault.fd = got;
	return got;
}

static void keep(char what)
{
	size_t n = strlen(kept);

	if (n < KEPT_MAX)
		kept[n] = what;
}

WRAPPED(int, fsync, int fd)
{
	struct stat st;
	bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	int result;

	if (folder && folder_error) {
		errno = folder_error;
		return -1;
	}
	result = __real_fsync(fd);
	if (result == 0)
		keep(folder ? 'd' : 'f');
	return result;
}

WRAPPED(int, rename, const char *from, const char *to)
{
	int result = __real_rename(from, to);

	if (result == 0)
		keep('r');
	return result;
}

void kept_forget(void)
{
	memset(kept, 0, sizeof(kept));
	folder_error = 0;
}

void fault_arm(enum fault_kind kind, bool out, size_t at)
{
	fault = (struct fault){ .fd = -1, .out = out, .kind = kind, .at = at };
}

void fault_disarm(void)
{
	fault = (struct fault){ .fd = -2 };
}

/* failing_io.h - reads, writes and accepts of the linked archives that are cut short or fail at a
 * chosen byte of one connection, and what is done to keep files. The test is linked with -Wl,--wrap
 * for each, and with failing_io.c. Files and other connections are left alone. */
#ifndef SLO_TESTS_FAILING_IO_H
#define SLO_TESTS_FAILING_IO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_SHORT, /* the call ends there, the next one goes on */
	FAULT_BYTES, /* from there on a byte a call */
	FAULT_EINTR, /* once */
	FAULT_EAGAIN,
	FAULT_RESET, /* for good */
	FAULT_END,   /* the call does nothing: when reading, the end */
};

struct fault {
	int fd;   /* -1: the next accepted connection; -2: none */
	bool out; /* what is written, or what is read */
	enum fault_kind kind;
	size_t at, done;
	bool fired;
};
extern struct fault fault;
extern int accept_error; /* of the next accept4(); 0: none */

/* What was done so that a file outlives a power cut, in order: 'f' a file was synced, 'd' a folder,
 * 'r' a file was renamed. What fails is not in it. */
#define KEPT_MAX 64
extern char kept[KEPT_MAX + 1];
extern int folder_error; /* of each fsync() of a folder; 0: none */
void kept_forget(void);

void fault_arm(enum fault_kind kind, bool out, size_t at); /* of the next accepted connection */
void fault_disarm(void);

#endif

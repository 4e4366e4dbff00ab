/* file.h - a file's text, read without ever waiting; and all of what is to be written. */
#ifndef SLO_IO_FILE_H
#define SLO_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "slo.h"

/* The bytes of a regular file of at most max bytes, for free(). NULL: errno says why; EFBIG: it is
 * longer; 0: it is no regular file (a FIFO could stop us for ever). */
char *file_read(const char *path, size_t max, size_t *len);
const char *file_why(int err); /* the text for such an errno */

/* However many calls it takes; fd waits. False: errno says why, and some of it may be written. */
MUSTCHECK bool file_write_all(int fd, struct slice s);

#endif

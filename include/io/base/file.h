/* file.h - a file's text, read without ever waiting; all of what is to be written, and a whole new
 * file for the place of another. */
#ifndef SLO_IO_BASE_FILE_H
#define SLO_IO_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "slo.h"

/* The bytes of a regular file of at most max bytes, for free(). NULL: errno says why; EFBIG: it is
 * longer; FILE_IRREGULAR: a FIFO could stop us for ever. */
char *file_read(const char *path, size_t max, size_t *len);

#define FILE_IRREGULAR 255     /* among errnos: it is no regular file, but a device, say */
const char *file_why(int err); /* the text for an errno of these functions */

/* Opens an empty file for writing under another name, which rename() may then put in the place of
 * path; half a file there from before is gone. -1: errno says why; EISDIR and FILE_IRREGULAR: what
 * is at path is none of ours, and must not go. */
MUSTCHECK int file_begin(const char *path, const char *new);

/* However many calls it takes; fd waits. False: errno says why, and some of it may be written. */
MUSTCHECK bool file_write_all(int fd, struct slice s);

#endif

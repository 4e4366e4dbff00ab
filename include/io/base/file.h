/* file.h - a file's text, read without ever waiting; all of what is to be written, and a whole new
 * file for the place of another. */
#ifndef SLO_IO_BASE_FILE_H
#define SLO_IO_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "slo.h"

/* The bytes of a regular file of at most max bytes, for free(). NULL: errno says why; EFBIG: it is
 * longer; FILE_IRREGULAR: a FIFO could stop us for ever. */
char *file_read(const char *path, size_t max, size_t *len);
/* The same of a file that only we, or root, can have written; otherwise FILE_FOREIGN. */
char *file_read_own(const char *path, size_t max, size_t *len);

#define FILE_IRREGULAR 255     /* among errnos: it is no regular file, but a device, say */
#define FILE_FOREIGN   254     /* another user owns the file, or may write to it */
const char *file_why(int err); /* the text for an errno of these functions */

/* Opens an empty file for writing under another name, which rename() may then put in the place of
 * path; half a file there from before is gone. -1: errno says why; EISDIR and FILE_IRREGULAR: what
 * is at path is none of ours, and must not go. */
MUSTCHECK int file_begin(const char *path, const char *new);

/* Puts the file `new`, whose bytes are on the disk, in the place of path, and waits until the
 * folder tells so too: after a power cut there is one of the two. False: errno says why. */
MUSTCHECK bool file_replace(const char *new, const char *path);

/* A whole new file with these bytes in the place of path, which `mode` lets others read. synced:
 * after a power cut there is one of the two; otherwise there may be none. 0, or an errno, and then
 * nothing of it stays. */
MUSTCHECK int file_save(const char *path, struct slice s, mode_t mode, bool synced);

/* However many calls it takes; fd waits. False: errno says why, and some of it may be written. */
MUSTCHECK bool file_write_all(int fd, struct slice s);

#endif

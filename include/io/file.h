/* file.h - a file's text, read without ever waiting. */
#ifndef SLO_IO_FILE_H
#define SLO_IO_FILE_H

#include <stddef.h>

/* The bytes of a regular file of at most max bytes, for free(). NULL: errno says why; EFBIG: it is
 * longer; 0: it is no regular file (a FIFO could stop us for ever). */
char *file_read(const char *path, size_t max, size_t *len);
const char *file_why(int err); /* the text for such an errno */

#endif

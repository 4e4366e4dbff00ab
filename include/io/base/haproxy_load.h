/* haproxy_load.h - HAProxy's own files, from the disk. */
#ifndef SLO_IO_BASE_HAPROXY_LOAD_H
#define SLO_IO_BASE_HAPROXY_LOAD_H

#include "conf/haproxy/hapconf.h"

#define HAPROXY_FILES_MAX 64

/* Reads these files in their order, and the SPOE files that they name. A relative name of one is
 * looked for beside the file that names it. False: `why` says which file cannot be read. The result
 * is for hapconf_free() in both cases. */
MUSTCHECK bool haproxy_load(struct hapconf *h, char *const *files, size_t count, char *why,
                            size_t cap);

#endif

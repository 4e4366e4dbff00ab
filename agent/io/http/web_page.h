/* web_page.h - the page, as build.py made it: one file, and the Content-Security-Policy that lets
 * just its own scripts and styles run. */
#ifndef SLO_IO_HTTP_WEB_PAGE_H
#define SLO_IO_HTTP_WEB_PAGE_H

#include "slice.h"

struct slice web_page(void);
const char *web_page_policy(void);

#endif

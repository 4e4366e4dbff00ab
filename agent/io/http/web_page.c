#include "web_page.h"

#include <stdint.h>

/* Of web_page_data.S. */
extern const uint8_t web_page_html[];
extern const uint64_t web_page_html_len;
extern const char web_page_csp[];

struct slice web_page(void)
{
	return (struct slice){ web_page_html, (size_t)web_page_html_len };
}

const char *web_page_policy(void)
{
	return web_page_csp;
}

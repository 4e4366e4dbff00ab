#include "io/base/config_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/base/file.h"

struct config *config_load(const char *path, struct doc_error *err)
{
	struct config *c;
	size_t len;
	char *text = file_read(path, CONFIG_FILE_MAX, &len);

	if (!text) {
		*err = (struct doc_error){ .file = path };
		snprintf(err->message, sizeof(err->message), "cannot read: %s", file_why(errno));
		return NULL;
	}
	c = config_parse(text, len, path, err);
	free(text);
	return c;
}

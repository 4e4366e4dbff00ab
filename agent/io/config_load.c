/* The part of config.h that touches a file, and the text of its errors. */
#include "io/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/file.h"

struct config *config_load(const char *path, struct config_error *err)
{
	struct config *c;
	size_t len;
	char *text = file_read(path, CONFIG_FILE_MAX, &len);

	if (!text) {
		*err = (struct config_error){ .file = path };
		snprintf(err->message, sizeof(err->message), "cannot read: %s", file_why(errno));
		return NULL;
	}
	c = config_parse(text, len, path, err);
	free(text);
	return c;
}

void config_error_format(const struct config_error *err, char *out, size_t cap)
{
	char place[64] = "", key[sizeof(err->key) + 16] = "";

	if (err->line > 0)
		snprintf(place, sizeof(place), "%zu:%zu:", err->line, err->column);
	if (err->key[0] != '\0')
		snprintf(key, sizeof(key), "key \"%s\": ", err->key);
	snprintf(out, cap, "%s:%s %s%s", err->file, place, key, err->message);
}

/* The part of config.h that touches a file, and the text of its errors. */
#include "io/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole file, or NULL and errno; EFBIG if it is over the limit. */
static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	size_t size = 0, used = 0;
	char *text = NULL;
	int why;

	if (!f)
		return NULL;
	do {
		char *grown;

		/* One byte over the limit is room enough to see that it was passed. */
		size = size == 0                    ? 65536
		       : 2 * size > CONFIG_FILE_MAX ? CONFIG_FILE_MAX + 1
		                                    : 2 * size;
		grown = realloc(text, size);
		if (!grown)
			goto err;
		text = grown;
		used += fread(text + used, 1, size - used, f);
		if (ferror(f))
			goto err;
	} while (used == size && size <= CONFIG_FILE_MAX);
	if (used > CONFIG_FILE_MAX) {
		errno = EFBIG;
		goto err;
	}
	(void)fclose(f);
	*len = used;
	return text;
err:
	why = errno;
	free(text);
	(void)fclose(f);
	errno = why;
	return NULL;
}

struct config *config_load(const char *path, struct config_error *err)
{
	struct config *c;
	size_t len;
	char *text = read_file(path, &len);

	if (!text) {
		*err = (struct config_error){ .file = path };
		snprintf(err->message, sizeof(err->message), "cannot read: %s", strerror(errno));
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

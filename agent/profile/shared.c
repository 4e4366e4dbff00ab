/* Files in and out, for all commands. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "io/base/file.h"
#include "wire/json/reader.h"
#include "wire/profdoc.h"

int complain(const char *file, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "slo-profile: %s: %s\n", file, why);
	return EXIT_FAILURE;
}

/* What our own profiles say of the cache: exports, and what import wrote. 0: nothing. */
static double kv_of(const char *text, size_t len)
{
	struct doc_error err;
	struct reader r;
	struct node root, learned, told, kv;
	double tokens = 0;

	reader_open(&r, NULL, text, len, READER_NAN, &err);
	root = reader_root(&r);
	learned = node_member(&root, "learned");
	told = node_member(&learned, "kv_tokens_told");
	kv = node_member(&learned, "kv_tokens");
	if (!r.failed && json_is_true(told.value) && json_is_number(kv.value))
		tokens = json_number_value(kv.value);
	reader_close(&r);
	return tokens;
}

struct slo_profile_doc *load_profile(const char *file, double *kv)
{
	struct slo_profile_doc *doc = NULL;
	struct doc_error err = { .file = file };
	char line[1024];
	size_t len;
	char *text = file_read(file, PROFDOC_TEXT_MAX, &len);

	if (!text) {
		complain(file, file_why(errno));
		return NULL;
	}
	if (profdoc_parse(text, len, &doc, &err) == SLO_OK) {
		if (kv && !(*kv > 0))
			*kv = kv_of(text, len);
	} else {
		err.file = file;
		doc_error_format(&err, line, sizeof(line));
		fprintf(stderr, "slo-profile: %s\n", line);
	}
	free(text);
	return doc;
}

/* Opens an empty file whose name goes to `new`; -1: it could not, and that was said. */
static int begin_save(const char *path, char new[PATH_MAX])
{
	int fd;

	if (snprintf(new, PATH_MAX, "%s.new", path) >= PATH_MAX) {
		complain(path, strerror(ENAMETOOLONG));
		return -1;
	}
	fd = file_begin(path, new);
	if (fd < 0)
		complain(path, file_why(errno));
	return fd;
}

bool can_save(const char *path)
{
	char new[PATH_MAX];
	int fd = begin_save(path, new);

	if (fd < 0)
		return false;
	close(fd);
	unlink(new);
	return true;
}

bool save_text(const char *path, const char *text, size_t len)
{
	char new[PATH_MAX];
	int fd;

	if (!path) {
		fwrite(text, 1, len, stdout);
		if (fflush(stdout) == 0)
			return true;
		complain("stdout", strerror(errno));
		return false;
	}
	fd = begin_save(path, new);
	if (fd < 0)
		return false;
	if (fchmod(fd, 0644) == 0 &&
	    file_write_all(fd, (struct slice){ (const uint8_t *)text, len }) && fsync(fd) == 0 &&
	    file_replace(new, path)) {
		close(fd);
		return true;
	}
	complain(path, file_why(errno));
	close(fd);
	unlink(new);
	return false;
}

void targets_text(const struct slo_profile_doc *doc, char *out, size_t cap)
{
	const struct {
		const char *name, *unit;
		double value;
	} list[] = {
		{ "tpot", "s per output token", doc->slo_tpot },
		{ "ttft", "s", doc->slo_ttft },
		{ "tpat", "s per token", doc->slo_tpat },
		{ "e2e", "s", doc->slo_e2e },
	};
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		if (list[i].value > 0 && n < cap)
			n += (size_t)snprintf(out + n, cap - n, "%s%s %g %s", n ? ", " : "",
			                      list[i].name, list[i].value, list[i].unit);
	if (n == 0)
		snprintf(out, cap, "none");
	else if (doc->percentile > 0 && n < cap)
		snprintf(out + n, cap - n, " (percentile %g)", doc->percentile);
}

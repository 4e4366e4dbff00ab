/* A request's path and body, the estimate made from it and the class it is put into. The input is a
 * body; its first line is taken for a path and for headers, too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/body.h"
#include "wire/body_class.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct body_info *b, size_t size, const struct endpoint *e)
{
	int64_t tokens = body_prompt_tokens(b, tokens_weights("avg"), INT64_C(1) << 40);

	if (tokens < 0 || tokens > INT32_MAX || b->sequences < 1 || b->n < 1 ||
	    b->max_tokens < -1 || b->min_tokens < 0 || b->scanned > size ||
	    b->model.len > BODY_MODEL_MAX || (b->is_json && b->scanned != size) ||
	    b->is_json != (b->form == BODY_JSON) || b->form >= BODY_FORMS ||
	    (b->form == BODY_EMPTY) != (size == 0))
		abort();
	if (body_class(b, e, b->max_tokens) >= BODY_CLASSES)
		abort();
}

static struct endpoint check_path(struct slice path)
{
	struct endpoint e = endpoint_of(path);

	if (e.kind > ENDPOINT_IDLE || endpoint_model(path).len > path.len || e.default_max < -1)
		abort();
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const encodings[] = { NULL, "br", " identity" };
	static const char *const ctypes[] = { NULL, "application/json",
		                              "multipart/form-data; boundary=XyZ" };
	struct slice all = { .p = data, .len = size }, line = all;
	const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
	struct endpoint e;
	struct body_info b;

	if (end)
		line.len = (size_t)(end - data);
	e = check_path(line);
	body_scan(all, &b);
	check(&b, size, &e);
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		struct slice encoding = { (const uint8_t *)encodings[i],
			                  encodings[i] ? strlen(encodings[i]) : 0 };
		struct slice ctype = { (const uint8_t *)ctypes[i],
			               ctypes[i] ? strlen(ctypes[i]) : 0 };

		body_read(all, encoding, ctype, &b);
		check(&b, size, &e);
	}
	body_read(all, line, line, &b);
	check(&b, size, &e);
	return 0;
}

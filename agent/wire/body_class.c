#include "wire/body_class.h"

enum { LIMIT_NONE, LIMIT_WORD, LIMIT_PARAGRAPH, LIMIT_MORE };
enum { KIND_CHAT, KIND_TEXT, KIND_SCHEMA, KIND_TOOLS };

/* A label or a number; an answer to a question; anything. */
#define WORD_MAX      16
#define PARAGRAPH_MAX 256

static unsigned limit_group(int64_t limit)
{
	if (limit < 0)
		return LIMIT_NONE;
	if (limit <= WORD_MAX)
		return LIMIT_WORD;
	return limit <= PARAGRAPH_MAX ? LIMIT_PARAGRAPH : LIMIT_MORE;
}

/* Who asks for JSON and offers tools gets JSON in the end. */
static unsigned kind_of(const struct body_info *b, const struct endpoint *e)
{
	if (b->schema)
		return KIND_SCHEMA;
	if (b->tools)
		return KIND_TOOLS;
	return e->chat || b->messages > 0 ? KIND_CHAT : KIND_TEXT;
}

unsigned body_class(const struct body_info *b, const struct endpoint *e, int64_t limit)
{
	bool cut = b->is_json && !b->complete;

	if (body_is_foreign(b) || (cut && limit < 0))
		return BODY_CLASS_UNKNOWN;
	return 1 + (limit_group(limit) << 2 | kind_of(b, e));
}

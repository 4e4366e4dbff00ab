/* load_answer.h - an HTTP/1.1 answer as it comes, piece by piece: what its head says, whether its
 * body is whole. */
#ifndef LOAD_ANSWER_H
#define LOAD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_HEAD_MAX 2048
#define ANSWER_NAME_MAX 32

enum answer_at { AT_HEAD, AT_COUNTED, AT_SIZE, AT_SIZE_END, AT_CHUNK, AT_TRAILER };

struct answer {
	enum answer_at at;
	bool whole;
	bool routed;     /* the agent's verdict is `route` */
	bool spoe_error; /* HAProxy could not ask it */
	int status;      /* 0: no head yet */
	int64_t ptime_ms;
	uint64_t left; /* of the body or the chunk */
	uint64_t body; /* bytes of body so far */
	size_t line;   /* length of the trailer's line so far */
	size_t head_len;
	char chosen[ANSWER_NAME_MAX]; /* by the agent */
	char by[ANSWER_NAME_MAX];     /* the server that answered */
	char head[ANSWER_HEAD_MAX];
};

static inline void answer_init(struct answer *a)
{
	memset(a, 0, offsetof(struct answer, head));
	a->head[0] = '\0';
}

/* The value of a header, up to the end of its line; NULL: there is none. */
static inline const char *answer_header(const struct answer *a, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = strstr(a->head, "\r\n"); p; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, len) == 0 && p[len] == ':')
			return p + len + 1 + strspn(p + len + 1, " ");
	}
	return NULL;
}

static inline void answer_word(const struct answer *a, const char *name, char *out)
{
	const char *v = answer_header(a, name);
	size_t len = v ? strcspn(v, "\r") : 0;

	len = len < ANSWER_NAME_MAX ? len : ANSWER_NAME_MAX - 1;
	if (len > 0)
		memcpy(out, v, len);
	out[len] = '\0';
}

static inline bool answer_head(struct answer *a)
{
	const char *v;
	char verdict[ANSWER_NAME_MAX];

	if (strncmp(a->head, "HTTP/1.1 ", 9) != 0)
		return false;
	a->status = atoi(a->head + 9);
	answer_word(a, "x-slo-server", a->chosen);
	answer_word(a, "x-demo-server", a->by);
	answer_word(a, "x-slo-verdict", verdict);
	a->routed = strcmp(verdict, "route") == 0;
	a->spoe_error = answer_header(a, "x-test-error") != NULL;
	v = answer_header(a, "x-test-ptime");
	a->ptime_ms = v ? atoll(v) : -1;
	v = answer_header(a, "transfer-encoding");
	if (v && strncasecmp(v, "chunked", 7) == 0) {
		a->at = AT_SIZE;
		return true;
	}
	v = answer_header(a, "content-length");
	a->left = v ? strtoull(v, NULL, 10) : 0;
	a->at = AT_COUNTED;
	a->whole = a->left == 0;
	return v != NULL;
}

static inline size_t answer_take_head(struct answer *a, const char *data, size_t len, bool *good)
{
	for (size_t i = 0; i < len; i++) {
		if (a->head_len == sizeof(a->head) - 1) {
			*good = false;
			return len;
		}
		a->head[a->head_len++] = data[i];
		a->head[a->head_len] = '\0';
		if (a->head_len >= 4 && memcmp(a->head + a->head_len - 4, "\r\n\r\n", 4) == 0) {
			*good = answer_head(a);
			return i + 1;
		}
	}
	return len;
}

static inline size_t answer_take_body(struct answer *a, size_t len)
{
	size_t n = len < a->left ? len : (size_t)a->left;

	a->left -= n;
	if (a->at == AT_COUNTED || a->left >= 2)
		a->body += n;
	if (a->left > 0)
		return n;
	if (a->at == AT_COUNTED)
		a->whole = true;
	else
		a->at = AT_SIZE;
	return n;
}

static inline int answer_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a chunk's size, of the rest of its line, or of the trailer. */
static inline void answer_take_line(struct answer *a, char c)
{
	if (a->at == AT_SIZE && answer_hex(c) >= 0) {
		a->left = a->left * 16 + (uint64_t)answer_hex(c);
	} else if (a->at != AT_TRAILER && c == '\n') {
		a->at = a->left ? AT_CHUNK : AT_TRAILER;
		a->left += a->left ? 2 : 0; /* its own line end */
	} else if (a->at != AT_TRAILER) {
		a->at = AT_SIZE_END;
	} else if (c == '\n') {
		a->whole = a->line == 0;
		a->line = 0;
	} else if (c != '\r') {
		a->line++;
	}
}

/* False: that is no answer. */
static inline bool answer_take(struct answer *a, const char *data, size_t len)
{
	bool good = true;
	size_t i = 0;

	while (good && i < len && !a->whole) {
		if (a->at == AT_HEAD)
			i += answer_take_head(a, data + i, len - i, &good);
		else if (a->at == AT_COUNTED || a->at == AT_CHUNK)
			i += answer_take_body(a, len - i);
		else
			answer_take_line(a, data[i++]);
	}
	return good && i == len;
}

#endif

/* HAProxy's rules for a line: blanks part words, # begins a comment, '...' is literal, and "..."
 * has escapes and variables: $NAME, ${NAME}, ${NAME-default}. */
#include "words.h"

#include <string.h>

#define NAME_MAX_BYTES 64 /* of a variable */

struct splitter {
	struct hap_words *w;
	const char *p, *end;
	size_t used;  /* of w->text */
	bool in_word; /* it may be empty: "" */
	char quote;   /* ' or " that is open; 0: none */
	hap_env *env;
	void *user;
};

/* What does not fit is left out. One byte stays for the last terminator. */
static void put(struct splitter *s, char c)
{
	if (!s->in_word) {
		if (s->w->count == HAPCONF_WORDS_MAX || s->used + 1 >= HAP_LINE_MAX)
			return;
		s->w->word[s->w->count++] = &s->w->text[s->used];
		s->in_word = true;
	}
	if (s->used + 1 < HAP_LINE_MAX)
		s->w->text[s->used++] = c;
}

/* A word begins, though nothing of it may follow. */
static void begin(struct splitter *s)
{
	size_t used = s->used;

	put(s, ' ');
	s->used = used;
}

static void end_word(struct splitter *s)
{
	if (!s->in_word)
		return;
	s->w->text[s->used] = '\0';
	if (s->used + 1 < HAP_LINE_MAX)
		s->used++;
	s->in_word = false;
}

static void escape(struct splitter *s)
{
	static const char from[] = "nrt0", to[] = "\n\r\t?";
	const char *known;

	if (s->p == s->end) {
		put(s, '\\');
		return;
	}
	known = memchr(from, *s->p, sizeof(from) - 1);
	if (known)
		put(s, to[known - from]);
	else
		put(s, *s->p);
	s->p++;
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static void put_text(struct splitter *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		put(s, text[i]);
}

/* s->p is behind the $. */
static void variable(struct splitter *s)
{
	const bool braced = s->p < s->end && *s->p == '{';
	char name[NAME_MAX_BYTES + 1];
	const char *value, *begins;
	size_t n = 0;

	s->p += braced;
	while (s->p < s->end && is_name(*s->p)) {
		if (n < NAME_MAX_BYTES)
			name[n++] = *s->p;
		s->p++;
	}
	name[n] = '\0';
	value = n > 0 && s->env ? s->env(s->user, name) : NULL;
	if (value)
		put_text(s, value, strlen(value));
	if (!braced)
		return;
	begins = s->p < s->end && *s->p == '-' ? s->p + 1 : NULL;
	while (s->p < s->end && *s->p != '}')
		s->p++;
	if (!value && begins)
		put_text(s, begins, (size_t)(s->p - begins));
	s->p += s->p < s->end;
}

/* A byte inside quotes. */
static void quoted(struct splitter *s, char c)
{
	if (c == s->quote)
		s->quote = 0;
	else if (s->quote == '"' && c == '\\')
		escape(s);
	else if (s->quote == '"' && c == '$')
		variable(s);
	else
		put(s, c);
}

void hap_words_split(struct hap_words *w, const char *line, size_t len, hap_env *env, void *user)
{
	struct splitter s = { .w = w, .p = line, .end = line + len, .env = env, .user = user };

	w->count = 0;
	while (s.p < s.end) {
		char c = *s.p++;

		if (s.quote) {
			quoted(&s, c);
		} else if (c == '#') {
			break;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			end_word(&s);
		} else if (c == '"' || c == '\'') {
			s.quote = c;
			begin(&s);
		} else if (c == '\\') {
			escape(&s);
		} else {
			put(&s, c);
		}
	}
	end_word(&s);
}

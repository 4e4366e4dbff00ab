/* Bytes come in any pieces, so a line is gathered in p->line before it is read. In a table a line
 * may end inside quotes (HAProxy quotes what a server answered); it goes on then. The header of a
 * table says where its columns are: versions of HAProxy have them in other places. */
#include "wire/haproxy_stat.h"

#include <string.h>

#define ABSENT UINT32_MAX

_Static_assert((int)HAPROXY_ADDRESS_COLS <= (int)HAPROXY_COLS, "they share `at`");

void haproxy_stat_init(struct haproxy_stat *p)
{
	p->blocks = 0;
	p->tables = 0;
	p->in_table = p->of_addresses = false;
	p->quoted = false;
	p->len = 0;
}

bool haproxy_stat_complete(const struct haproxy_stat *p, uint32_t commands)
{
	return p->blocks == commands && !p->in_table && p->len == 0;
}

enum slo_server_state haproxy_state_parse(struct slice status)
{
	static const struct {
		const char *word;
		enum slo_server_state state;
	} words[] = {
		{ "UP", SLO_SERVER_UP },       { "DOWN", SLO_SERVER_DOWN },
		{ "MAINT", SLO_SERVER_MAINT }, { "DRAIN", SLO_SERVER_DRAIN },
		{ "NOLB", SLO_SERVER_DRAIN },  { "no check", SLO_SERVER_UP },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i].word);

		if (slice_starts(status, words[i].word) &&
		    (status.len == len || status.p[len] == ' ' || status.p[len] == '('))
			return words[i].state;
	}
	return SLO_SERVER_DOWN;
}

/* Counts only: an empty one is 0, one that is too large the largest. */
static bool number(struct slice s, uint64_t max, uint64_t *out)
{
	uint64_t v;

	if (slice_digits(s, &v) != s.len)
		return false;
	*out = v < max ? v : max;
	return true;
}

static bool number32(struct slice s, uint32_t *out)
{
	uint64_t v;

	if (!number(s, UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

/* What is between quotes, with doubled ones made single in place. */
static struct slice unquote(uint8_t *from, const uint8_t *end)
{
	uint8_t *to = from;

	for (const uint8_t *p = from + 1; p < end; p++) {
		if (*p == '"' && (p + 1 == end || *++p != '"'))
			break;
		*to++ = *p;
	}
	return (struct slice){ from, (size_t)(to - from) };
}

/* The next field of a CSV line. */
struct fields {
	uint8_t *p, *end;
	bool more;
};

static struct slice next_field(struct fields *f)
{
	uint8_t *from = f->p, *to = from;
	bool quoted = false;

	while (to < f->end && (quoted || *to != ',')) {
		quoted ^= *to == '"';
		to++;
	}
	f->more = to < f->end;
	f->p = f->more ? to + 1 : to;
	if (from < to && *from == '"')
		return unquote(from, to);
	return (struct slice){ from, (size_t)(to - from) };
}

/* The next word of a line with blanks between. */
static struct slice next_word(struct fields *f)
{
	uint8_t *from = f->p, *to = from;

	while (to < f->end && *to != ' ')
		to++;
	f->more = to < f->end;
	f->p = f->more ? to + 1 : to;
	return (struct slice){ from, (size_t)(to - from) };
}

static struct slice next_of(const struct haproxy_stat *p, struct fields *f)
{
	return p->of_addresses ? next_word(f) : next_field(f);
}

static size_t columns(const struct haproxy_stat *p)
{
	return p->of_addresses ? (size_t)HAPROXY_ADDRESS_COLS : (size_t)HAPROXY_COLS;
}

/* Where the columns are. SLO_EPROTO: one that is needed is missing. */
static slo_err read_header(struct haproxy_stat *p)
{
	static const char *const names[HAPROXY_COLS] = {
		[HAPROXY_COL_PXNAME] = "pxname", [HAPROXY_COL_SVNAME] = "svname",
		[HAPROXY_COL_QCUR] = "qcur",     [HAPROXY_COL_SCUR] = "scur",
		[HAPROXY_COL_STATUS] = "status", [HAPROXY_COL_TYPE] = "type",
	};
	static const char *const address_names[HAPROXY_ADDRESS_COLS] = {
		[HAPROXY_COL_BE_NAME] = "be_name",
		[HAPROXY_COL_SRV_NAME] = "srv_name",
		[HAPROXY_COL_SRV_ADDR] = "srv_addr",
		[HAPROXY_COL_SRV_PORT] = "srv_port",
	};
	struct fields f = { p->line + 2, p->line + p->len, true };
	const char *const *wanted;

	p->of_addresses = slice_starts((struct slice){ p->line, p->len }, "# be_id ");
	wanted = p->of_addresses ? address_names : names;
	for (size_t c = 0; c < HAPROXY_COLS; c++)
		p->at[c] = ABSENT;
	for (uint32_t i = 0; f.more; i++) {
		struct slice name = next_of(p, &f);

		for (size_t c = 0; c < columns(p); c++)
			if (p->at[c] == ABSENT && slice_eq(name, wanted[c]))
				p->at[c] = i;
	}
	for (size_t c = 0; c < columns(p); c++)
		if (p->at[c] == ABSENT)
			return SLO_EPROTO;
	p->in_table = true;
	p->tables++;
	return SLO_ESHORT;
}

/* False: one that is needed is not there. */
static bool read_fields(struct haproxy_stat *p, struct slice field[HAPROXY_COLS])
{
	struct fields f = { p->line, p->line + p->len, true };

	for (uint32_t i = 0; f.more; i++) {
		struct slice value = next_of(p, &f);

		for (size_t c = 0; c < columns(p); c++)
			if (p->at[c] == i)
				field[c] = value;
	}
	for (size_t c = 0; c < columns(p); c++)
		if (!field[c].p)
			return false;
	return true;
}

static slo_err read_address(struct haproxy_stat *p, struct haproxy_item *out)
{
	struct slice field[HAPROXY_COLS] = { { NULL, 0 } };
	struct haproxy_address *a = &out->address;

	if (!read_fields(p, field))
		return SLO_EPROTO;
	out->kind = HAPROXY_ADDRESS;
	a->backend = field[HAPROXY_COL_BE_NAME];
	a->name = field[HAPROXY_COL_SRV_NAME];
	a->address = field[HAPROXY_COL_SRV_ADDR];
	if (a->backend.len == 0 || a->name.len == 0 || a->address.len == 0 ||
	    !number32(field[HAPROXY_COL_SRV_PORT], &a->port))
		return SLO_EPROTO;
	return SLO_OK;
}

/* SLO_ESHORT: the row is not about a server. */
static slo_err read_row(struct haproxy_stat *p, struct haproxy_item *out)
{
	struct slice field[HAPROXY_COLS] = { { NULL, 0 } };
	struct haproxy_server *s = &out->server;

	if (!read_fields(p, field))
		return SLO_EPROTO;
	if (!slice_eq(field[HAPROXY_COL_TYPE], "2"))
		return SLO_ESHORT; /* a frontend, a backend, a listener */
	out->kind = HAPROXY_SERVER;
	s->backend = field[HAPROXY_COL_PXNAME];
	s->name = field[HAPROXY_COL_SVNAME];
	s->state = haproxy_state_parse(field[HAPROXY_COL_STATUS]);
	if (s->backend.len == 0 || s->name.len == 0 ||
	    !number32(field[HAPROXY_COL_SCUR], &s->sessions) ||
	    !number32(field[HAPROXY_COL_QCUR], &s->queued))
		return SLO_EPROTO;
	return SLO_OK;
}

static slo_err read_info(struct slice line, const char *name, enum haproxy_kind kind,
                         struct haproxy_item *out)
{
	struct slice value = { line.p + strlen(name), line.len - strlen(name) };

	if (value.len == 0 || !number(value, UINT64_MAX, &out->number))
		return SLO_EPROTO;
	out->kind = kind;
	return SLO_OK;
}

/* SLO_ESHORT: nothing in it for the caller. */
static slo_err read_line(struct haproxy_stat *p, struct haproxy_item *out)
{
	struct slice line = { p->line, p->len };

	if (line.len == 0) {
		p->in_table = false;
		p->blocks++;
		return SLO_ESHORT;
	}
	if (p->in_table)
		return p->of_addresses ? read_address(p, out) : read_row(p, out);
	if (slice_starts(line, "# "))
		return read_header(p);
	if (slice_starts(line, "Pid: "))
		return read_info(line, "Pid: ", HAPROXY_PID, out);
	if (slice_starts(line, "Uptime_sec: "))
		return read_info(line, "Uptime_sec: ", HAPROXY_UPTIME, out);
	out->kind = HAPROXY_TEXT;
	out->text = line;
	return SLO_OK;
}

slo_err haproxy_stat_next(struct haproxy_stat *p, struct slice *in, struct haproxy_item *out)
{
	struct haproxy_item item = { .kind = HAPROXY_TEXT };

	while (in->len > 0) {
		uint8_t byte = *in->p;
		slo_err err;

		in->p++;
		in->len--;
		if (byte != '\n' || p->quoted) {
			if (p->len == HAPROXY_LINE_MAX)
				return SLO_ETOOBIG;
			p->line[p->len++] = byte;
			p->quoted ^= p->in_table && !p->of_addresses && byte == '"';
			continue;
		}
		err = read_line(p, &item);
		p->len = 0;
		if (err == SLO_OK)
			*out = item;
		if (err != SLO_ESHORT)
			return err;
	}
	return SLO_ESHORT;
}

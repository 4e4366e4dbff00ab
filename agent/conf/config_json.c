#include "conf/config_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *suffix;
	int64_t factor;
};

static const struct unit time_units[] = {
	{ "d", 86400 * SLO_NSEC_PER_SEC }, { "h", 3600 * SLO_NSEC_PER_SEC },
	{ "m", 60 * SLO_NSEC_PER_SEC },    { "s", SLO_NSEC_PER_SEC },
	{ "ms", SLO_NSEC_PER_MSEC },       { "us", 1000 },
	{ "", SLO_NSEC_PER_MSEC }, /* HAProxy's way */
};
static const struct unit size_units[] = {
	{ "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 }, { "G", 1 << 30 },
	{ "M", 1 << 20 }, { "K", 1 << 10 }, { "", 1 },
};
#define TIME_UNITS (sizeof(time_units) / sizeof(time_units[0]))
#define SIZE_UNITS (sizeof(size_units) / sizeof(size_units[0]))

bool cfg_path(struct reader *r, const struct node *object, const char *key, const char *dir,
              char **out)
{
	const char *path, *sep;
	size_t size;

	if (!reader_string(r, object, key, SIZE_MAX, &path))
		return false;
	sep = dir[0] == '\0' || dir[strlen(dir) - 1] == '/' ? "" : "/";
	if (path[0] == '/')
		dir = sep = "";
	size = strlen(dir) + strlen(path) + 2;
	*out = malloc(size);
	if (!*out) {
		reader_no_memory(r);
		return false;
	}
	snprintf(*out, size, "%s%s%s", dir, sep, path);
	return true;
}

/* A decimal number and one of the units; false: it is not, or is over INT64_MAX. */
static bool parse_with_unit(const char *s, const struct unit *units, size_t count, int64_t *out)
{
	uint64_t v;
	size_t digits = slice_digits(slice_of(s), &v);

	if (digits == 0 || v > INT64_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(s + digits, units[i].suffix) == 0)
			return !__builtin_mul_overflow((int64_t)v, units[i].factor, out);
	}
	return false;
}

struct amount {
	char s[32];
};

/* In the largest unit that leaves no rest; a bare number only for bytes. */
static struct amount print_amount(int64_t v, enum cfg_type type)
{
	const struct unit *units = type == CFG_TIME ? time_units : size_units;
	size_t count = type == CFG_TIME ? TIME_UNITS - 1 : SIZE_UNITS;
	struct amount a;

	for (size_t i = 0; i < count && type != CFG_COUNT && type != CFG_U64; i++) {
		if (v != 0 && v % units[i].factor == 0) {
			snprintf(a.s, sizeof(a.s), "%lld%s", (long long)(v / units[i].factor),
			         units[i].suffix);
			return a;
		}
	}
	snprintf(a.s, sizeof(a.s), "%lld", (long long)v);
	return a;
}

/* The member's value in bytes, nanoseconds or things. */
static bool read_amount(struct reader *r, const struct node *n, enum cfg_type type, int64_t *out)
{
	bool is_time = type == CFG_TIME;
	const char *s;

	if (json_is_integer(n->value)) {
		*out = json_integer_value(n->value);
		if (!is_time || !__builtin_mul_overflow(*out, SLO_NSEC_PER_MSEC, out))
			return true;
		reader_fail(r, n, JSONPOS_VALUE, "is too large for a time");
		return false;
	}
	if (type == CFG_COUNT || type == CFG_U64) {
		reader_fail_type(r, n, "an integer");
		return false;
	}
	if (!json_is_string(n->value)) {
		reader_fail_type(r, n,
		                 is_time ? "a time such as \"30s\"" : "a size such as \"64k\"");
		return false;
	}
	s = json_string_value(n->value);
	if (parse_with_unit(s, is_time ? time_units : size_units, is_time ? TIME_UNITS : SIZE_UNITS,
	                    out))
		return true;
	reader_fail(r, n, JSONPOS_VALUE, "is \"%s\", must be %s%s", reader_quote(s).s,
	            is_time ? "a time such as \"500ms\", \"30s\", \"5m\" or \"2h\""
	                    : "a size such as \"16380\", \"64k\" or \"1m\"",
	            s[strcspn(s, ".,")] == '\0' ? ""
	            : is_time                   ? ", without a fraction (500ms, not 0.5s)"
	                                        : ", without a fraction (512k, not 0.5m)");
	return false;
}

static void store(enum cfg_type type, int64_t v, void *to)
{
	size_t size = (size_t)v;
	uint64_t u64 = (uint64_t)v;
	slo_nsec time = v;

	if (type == CFG_TIME)
		memcpy(to, &time, sizeof(time));
	else if (type == CFG_U64)
		memcpy(to, &u64, sizeof(u64));
	else
		memcpy(to, &size, sizeof(size));
}

static void read_field(struct reader *r, const struct node *object, const struct cfg_field *f,
                       void *section)
{
	struct node n = node_member(object, f->name);
	int64_t v;

	if (r->failed || f->type == CFG_ELSEWHERE || !n.value || !read_amount(r, &n, f->type, &v))
		return;
	if (v < f->min || v > f->max)
		reader_fail(r, &n, JSONPOS_VALUE, "is %s, must be %s to %s",
		            print_amount(v, f->type).s, print_amount(f->min, f->type).s,
		            print_amount(f->max, f->type).s);
	else
		store(f->type, v, (char *)section + f->offset);
}

/* Keys that are sought in other sections than theirs. */
static const struct {
	const char *key, *section;
} places[] = {
	{ "slo", "models.M" },
	{ "aliases", "models.M" },
	{ "backend", "models.M" },
	{ "deployments", "models.M" },
	{ "servers", "models.M.deployments.D" },
	{ "kv_tokens", "models.M.deployments.D" },
	{ "max_running", "models.M.deployments.D" },
	{ "percentile", "models.M.slo" },
	{ "strategy", "routing or models.M" },
	{ "fallback", "routing" },
	{ "queue_timeout", "routing" },
	{ "queue_timeout_max", "routing" },
	{ "queue_limit", "routing" },
	{ "drain_timeout", "routing" },
	{ "default_model", "routing" },
	{ "late", "routing" },
	{ "infeasible", "routing" },
	{ "predict", "routing" },
	{ "cold", "routing" },
	{ "runtime_api", "haproxy" },
	{ "refresh", "profiles.redis" },
	{ "trace", "profiles.redis" },
	{ "redis", "profiles or cluster" },
	{ "export", "profiles" },
	{ "lease_max_age", "limits" },
};

/* Tells of a key that belongs elsewhere; that is better than a name which looks like it. */
static void tell_place(struct reader *r, const struct node *section, struct reader_names names)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct node n = node_member(section, places[i].key);
		bool known = !n.value;

		for (size_t k = 0; k < names.count && !known; k++)
			known = strcmp(*(const char *const *)((const char *)names.first +
			                                      k * names.stride),
			               places[i].key) == 0;
		if (!known)
			reader_fail(r, &n, JSONPOS_KEY, "unknown key here, it belongs to %s",
			            places[i].section);
	}
}

void cfg_section(struct reader *r, const struct node *n, const struct cfg_field *fields,
                 size_t count, void *section)
{
	struct reader_names names = { &fields->name, count, sizeof(*fields) };

	if (!n->value || !reader_want_object(r, n))
		return;
	tell_place(r, n, names);
	reader_only_keys(r, n, names);
	for (size_t i = 0; i < count; i++)
		read_field(r, n, &fields[i], section);
}

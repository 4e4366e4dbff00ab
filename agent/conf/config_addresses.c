#include "conf/config_addresses.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HOUR     (3600 * SLO_NSEC_PER_SEC)

static bool is_listed(const struct config_listen *l, const struct listen_addr *a)
{
	/* Port 0 is another one each time. */
	if (!listen_addr_is_unix(a) && a->port == 0)
		return false;
	for (size_t i = 0; i < l->count; i++)
		if (listen_addr_equal(a, &l->addr[i]))
			return true;
	return false;
}

/* Access */

/* What a listener's addresses may be. */
enum { DATAGRAMS = 1, ACCESS = 2, LEVELS = 4 };

#define ACCESS_FIELDS                           \
	{ .name = "mode" }, { .name = "user" }, \
	{                                       \
		.name = "group"                 \
	}

/* "660": octal, as chmod(1) takes it. */
static void read_mode(struct reader *r, const struct node *object, struct listen_access *out)
{
	struct node n = node_member(object, "mode");
	const char *s;
	size_t len;

	if (!reader_string(r, object, "mode", SIZE_MAX, &s))
		return;
	len = strlen(s);
	if (len < 3 || len > 4 || s[strspn(s, "01234567")] != '\0' || (len == 4 && s[0] != '0')) {
		reader_fail(r, &n, JSONPOS_VALUE,
		            "is \"%s\", must be three octal digits such as \"660\"",
		            reader_quote(s).s);
		return;
	}
	out->mode = 0;
	for (; *s; s++)
		out->mode = (uint16_t)(out->mode * 8 + (*s - '0'));
	out->set = out->has_mode = true;
}

static bool want_account(struct reader *r, const struct node *n, char out[LISTEN_ACCOUNT_MAX + 1])
{
	const char *s;

	if (!reader_want_string(r, n, LISTEN_ACCOUNT_MAX, &s))
		return false;
	if (s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-$")]) {
		reader_fail(r, n, JSONPOS_VALUE, "is \"%s\", which no user or group is called",
		            reader_quote(s).s);
		return false;
	}
	memcpy(out, s, strlen(s) + 1);
	return true;
}

static void read_account(struct reader *r, const struct node *object, const char *key,
                         char out[LISTEN_ACCOUNT_MAX + 1], bool *set)
{
	struct node n = node_member(object, key);

	if (n.value && want_account(r, &n, out))
		*set = true;
}

static void read_access(struct reader *r, const struct node *object, struct listen_access *out)
{
	read_mode(r, object, out);
	read_account(r, object, "user", out->user, &out->set);
	read_account(r, object, "group", out->group, &out->set);
}

static const char *const level_names[] = {
	[CONFIG_LEVEL_USER] = "user",
	[CONFIG_LEVEL_OPERATOR] = "operator",
	[CONFIG_LEVEL_ADMIN] = "admin",
};

const char *config_level_name(enum config_level l)
{
	return level_names[l];
}

static void read_level(struct reader *r, const struct node *object, enum config_level *out)
{
	static const struct reader_choice levels[] = {
		{ "user", CONFIG_LEVEL_USER },
		{ "operator", CONFIG_LEVEL_OPERATOR },
		{ "admin", CONFIG_LEVEL_ADMIN },
	};
	int level;

	if (reader_choice(r, object, "level", levels, COUNT(levels), &level))
		*out = (enum config_level)level;
}

/* Addresses */

static void take_address(struct reader *r, const struct node *n, const char *dir, int may,
                         struct config_listen *out)
{
	struct listen_addr *addr = &out->addr[out->count];
	const char *s, *why;

	if (!reader_want_string(r, n, SIZE_MAX, &s))
		return;
	if (!listen_addr_parse(s, dir, addr, &why))
		reader_fail(r, n, JSONPOS_VALUE, "address \"%s\" %s", reader_quote(s).s, why);
	else if (listen_addr_is_datagram(addr) && !(may & DATAGRAMS))
		reader_fail(r, n, JSONPOS_VALUE,
		            "address \"%s\" is %s, which only events.listen can have",
		            reader_quote(s).s, addr->kind == LISTEN_UDP ? "UDP" : "for datagrams");
	else if (is_listed(out, addr))
		reader_fail(r, n, JSONPOS_VALUE, "address \"%s\" is in this list already",
		            reader_quote(s).s);
	else
		out->count++;
}

/* An address as a string, or as an object with settings that replace those of the section. */
static void read_address(struct reader *r, const struct node *n, const char *dir, int may,
                         const struct listen_access *access, struct config_listen *out)
{
	static const struct cfg_field fields[] = { { .name = "address" },
		                                   ACCESS_FIELDS,
		                                   { .name = "level" } };
	struct listen_access own = *access;
	struct node address = node_member(n, "address");
	size_t at = out->count;
	bool detailed = (may & ACCESS) && json_is_object(n->value);

	if (detailed) {
		own.set = false;
		cfg_section(r, n, fields, COUNT(fields) - (may & LEVELS ? 0 : 1), NULL);
		read_access(r, n, &own);
		read_level(r, n, &out->level[at]);
	}
	take_address(r, detailed ? &address : n, dir, may, out);
	if (r->failed)
		return;
	if (detailed && own.set && !listen_addr_is_unix(&out->addr[at]))
		reader_fail(r, n, JSONPOS_VALUE,
		            "has no unix socket, which mode, user and group are of");
	own.set |= access->set;
	if (listen_addr_is_unix(&out->addr[at]))
		out->addr[at].access = own;
}

static void read_list(struct reader *r, const struct node *list, const char *dir, int may,
                      const struct listen_access *access, struct config_listen *out)
{
	size_t count = json_array_size(list->value);

	if (!reader_want_array(r, list))
		return;
	if (count < 1 || count > CONFIG_LISTEN_MAX)
		reader_fail(r, list, JSONPOS_VALUE, "has %zu addresses, must have 1 to %d", count,
		            CONFIG_LISTEN_MAX);
	for (size_t i = 0; i < count && !r->failed; i++) {
		struct node e = node_element(list, i);

		read_address(r, &e, dir, may, access, out);
	}
}

/* Who may speak */

static void read_peers(struct reader *r, const struct node *section, struct config_listen *out)
{
	struct node list = node_member(section, "peers");
	size_t count = json_array_size(list.value);

	if (!list.value || !reader_want_array(r, &list))
		return;
	if (count < 1 || count > CONFIG_PEERS_MAX)
		reader_fail(r, &list, JSONPOS_VALUE, "has %zu users, must have 1 to %d", count,
		            CONFIG_PEERS_MAX);
	for (size_t i = 0; i < count && !r->failed; i++) {
		struct node e = node_element(&list, i);

		out->peers += want_account(r, &e, out->peer[out->peers]);
	}
}

/* HAProxy writes it into log lines and SPOE arguments, so it has no quotes and no blanks. */
static void read_secret(struct reader *r, const struct node *section, struct config_listen *out)
{
	struct node n = node_member(section, "secret");
	const char *s;

	if (!reader_string(r, section, "secret", CONFIG_SECRET_MAX, &s))
		return;
	if (strlen(s) < CONFIG_SECRET_MIN ||
	    s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")])
		reader_fail(r, &n, JSONPOS_VALUE,
		            "must have %d to %d bytes, letters, digits and _ . - only",
		            CONFIG_SECRET_MIN, CONFIG_SECRET_MAX);
	else
		out->secret = s;
}

/* What is said of unix sockets where there are none would be taken for protection. */
static void want_unix(struct reader *r, const struct node *section, const char *key, bool streams,
                      const struct config_listen *l)
{
	struct node n = node_member(section, key);

	for (size_t i = 0; i < l->count; i++)
		if (l->addr[i].kind == LISTEN_UNIX ||
		    (!streams && l->addr[i].kind == LISTEN_UNIXGRAM))
			return;
	if (n.value)
		reader_fail(r, &n, JSONPOS_VALUE,
		            "is about unix sockets, but no \"unix:\" address is listed");
}

static void read_guards(struct reader *r, const struct node *section, struct config_listen *out)
{
	read_peers(r, section, out);
	want_unix(r, section, "mode", false, out);
	want_unix(r, section, "user", false, out);
	want_unix(r, section, "group", false, out);
	want_unix(r, section, "peers", true, out);
}

static void read_listener(struct reader *r, const struct node *root, const char *dir,
                          const char *key, int may, struct config_listen *out)
{
	static const struct cfg_field fields[] = {
		{ .name = "listen" },
		ACCESS_FIELDS,
		{ .name = "peers" },
		{ .name = "secret" },
	};
	struct node n = node_member(root, key), list;
	struct listen_access access = { .set = false };

	if (!reader_want_object(r, &n))
		return;
	cfg_section(r, &n, fields, COUNT(fields), NULL);
	read_access(r, &n, &access);
	list = node_member(&n, "listen");
	read_list(r, &list, dir, may | ACCESS, &access, out);
	read_guards(r, &n, out);
	read_secret(r, &n, out);
}

static void read_http(struct reader *r, const struct node *root, const char *dir,
                      struct config_listen *out)
{
	static const struct cfg_field fields[] = { { .name = "listen" },
		                                   ACCESS_FIELDS,
		                                   { .name = "peers" } };
	struct node n = node_member(root, "http"), listen;
	struct listen_access access = { .set = false };

	if (!n.value)
		return;
	cfg_section(r, &n, fields, COUNT(fields), NULL);
	read_access(r, &n, &access);
	listen = node_member(&n, "listen");
	read_address(r, &listen, dir, 0, &access, out);
	read_guards(r, &n, out);
}

static void set_levels(struct config_listen *out, enum config_level level)
{
	for (size_t i = 0; i < CONFIG_LISTEN_MAX; i++)
		out->level[i] = level;
}

/* One address or several. */
static void read_control(struct reader *r, const struct node *root, const char *dir,
                         struct config_listen *out)
{
	static const struct cfg_field fields[] = {
		{ .name = "listen" }, ACCESS_FIELDS, { .name = "peers" }, { .name = "level" }
	};
	struct node n = node_member(root, "control"), listen;
	struct listen_access access = { .set = false };
	enum config_level level = CONFIG_LEVEL_OPERATOR;

	if (!n.value)
		return;
	cfg_section(r, &n, fields, COUNT(fields), NULL);
	read_access(r, &n, &access);
	read_level(r, &n, &level);
	set_levels(out, level);
	listen = node_member(&n, "listen");
	if (json_is_array(listen.value))
		read_list(r, &listen, dir, ACCESS | LEVELS, &access, out);
	else
		read_address(r, &listen, dir, 0, &access, out);
	for (size_t i = 0; i < out->count && !r->failed; i++)
		if (out->addr[i].kind != LISTEN_UNIX)
			reader_fail(r, &listen, JSONPOS_VALUE,
			            "must be unix sockets, as in \"unix:/run/slo-spoa/ctl.sock\"");
	read_guards(r, &n, out);
}

/* A difference is seen from one poll to the next at the soonest. */
static void read_grace(struct reader *r, const struct node *haproxy, struct config *c)
{
	struct node grace = node_member(haproxy, "grace");

	if (c->haproxy_grace >= c->haproxy_poll)
		return;
	if (grace.value)
		reader_fail(r, &grace, JSONPOS_VALUE,
		            "is shorter than \"haproxy.poll\", which is %g ms",
		            (double)c->haproxy_poll / (double)SLO_NSEC_PER_MSEC);
	else
		c->haproxy_grace = c->haproxy_poll;
}

static void read_haproxy(struct reader *r, const struct node *root, const char *dir,
                         struct config *c)
{
	static const struct cfg_field fields[] = {
		{ .name = "runtime_api" },
		{ "poll", CFG_TIME, offsetof(struct config, haproxy_poll), 50 * SLO_NSEC_PER_MSEC,
		  HOUR },
		{ "grace", CFG_TIME, offsetof(struct config, haproxy_grace), 0, HOUR },
	};
	const struct listen_access nobody = { .set = false }; /* these are others' sockets */
	struct node n = node_member(root, "haproxy"), list = node_member(&n, "runtime_api");

	if (!n.value)
		return;
	cfg_section(r, &n, fields, COUNT(fields), c);
	read_grace(r, &n, c);
	read_list(r, &list, dir, 0, &nobody, &c->runtime_api);
}

/* One address for two listeners: the second one would not start. */
static void want_distinct(struct reader *r, const struct node *root, const struct config *c)
{
	const struct {
		const char *key;
		const struct config_listen *listen;
	} all[] = { { "spop", &c->spop },
		    { "events", &c->events },
		    { "http", &c->http },
		    { "control", &c->control } };

	for (size_t i = 1; i < COUNT(all); i++) {
		struct node n = node_member(root, all[i].key), listen = node_member(&n, "listen");

		for (size_t k = 0; k < i; k++)
			for (size_t j = 0; j < all[i].listen->count; j++)
				if (is_listed(all[k].listen, &all[i].listen->addr[j]))
					reader_fail(r, &listen, JSONPOS_VALUE,
					            "has an address of %s.listen: each listener "
					            "needs its own",
					            all[k].key);
	}
}

bool config_listen_equal(const struct config_listen *a, const struct config_listen *b)
{
	if (a->count != b->count || a->peers != b->peers)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!listen_addr_equal(&a->addr[i], &b->addr[i]) ||
		    !listen_access_equal(&a->addr[i].access, &b->addr[i].access) ||
		    a->level[i] != b->level[i])
			return false;
	for (size_t i = 0; i < a->peers; i++)
		if (strcmp(a->peer[i], b->peer[i]) != 0)
			return false;
	return true;
}

void config_addresses_read(struct reader *r, const struct node *root, const char *dir,
                           struct config *c)
{
	read_listener(r, root, dir, "spop", 0, &c->spop);
	read_listener(r, root, dir, "events", DATAGRAMS, &c->events);
	read_http(r, root, dir, &c->http);
	read_control(r, root, dir, &c->control);
	read_haproxy(r, root, dir, c);
	if (!r->failed)
		want_distinct(r, root, c);
}

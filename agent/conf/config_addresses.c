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
enum { DATAGRAMS = 1, ACCESS = 2 };

#define ACCESS_FIELDS                           \
	{ .name = "mode" }, { .name = "user" }, \
	{                                       \
		.name = "group"                 \
	}

/* "660": octal, as chmod(1) takes it. */
static void read_mode(struct cfg_doc *d, const struct cfg_node *object, struct listen_access *out)
{
	struct cfg_node n = cfg_member(object, "mode");
	const char *s;
	size_t len;

	if (!cfg_string(d, object, "mode", SIZE_MAX, &s))
		return;
	len = strlen(s);
	if (len < 3 || len > 4 || s[strspn(s, "01234567")] != '\0' || (len == 4 && s[0] != '0')) {
		cfg_fail(d, &n, JSONPOS_VALUE,
		         "is \"%s\", must be three octal digits such as \"660\"", cfg_quote(s).s);
		return;
	}
	out->mode = 0;
	for (; *s; s++)
		out->mode = (uint16_t)(out->mode * 8 + (*s - '0'));
	out->set = out->has_mode = true;
}

static bool want_account(struct cfg_doc *d, const struct cfg_node *n,
                         char out[LISTEN_ACCOUNT_MAX + 1])
{
	const char *s;

	if (!cfg_want_string(d, n, LISTEN_ACCOUNT_MAX, &s))
		return false;
	if (s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-$")]) {
		cfg_fail(d, n, JSONPOS_VALUE, "is \"%s\", which no user or group is called",
		         cfg_quote(s).s);
		return false;
	}
	memcpy(out, s, strlen(s) + 1);
	return true;
}

static void read_account(struct cfg_doc *d, const struct cfg_node *object, const char *key,
                         char out[LISTEN_ACCOUNT_MAX + 1], bool *set)
{
	struct cfg_node n = cfg_member(object, key);

	if (n.value && want_account(d, &n, out))
		*set = true;
}

static void read_access(struct cfg_doc *d, const struct cfg_node *object, struct listen_access *out)
{
	read_mode(d, object, out);
	read_account(d, object, "user", out->user, &out->set);
	read_account(d, object, "group", out->group, &out->set);
}

/* Addresses */

static void take_address(struct cfg_doc *d, const struct cfg_node *n, const char *dir, int may,
                         struct config_listen *out)
{
	struct listen_addr *addr = &out->addr[out->count];
	const char *s, *why;

	if (!cfg_want_string(d, n, SIZE_MAX, &s))
		return;
	if (!listen_addr_parse(s, dir, addr, &why))
		cfg_fail(d, n, JSONPOS_VALUE, "address \"%s\" %s", cfg_quote(s).s, why);
	else if (listen_addr_is_datagram(addr) && !(may & DATAGRAMS))
		cfg_fail(d, n, JSONPOS_VALUE,
		         "address \"%s\" is %s, which only events.listen can have", cfg_quote(s).s,
		         addr->kind == LISTEN_UDP ? "UDP" : "for datagrams");
	else if (is_listed(out, addr))
		cfg_fail(d, n, JSONPOS_VALUE, "address \"%s\" is in this list already",
		         cfg_quote(s).s);
	else
		out->count++;
}

/* An address as a string, or as an object with what the section says for all of its addresses. */
static void read_address(struct cfg_doc *d, const struct cfg_node *n, const char *dir, int may,
                         const struct listen_access *access, struct config_listen *out)
{
	static const struct cfg_field fields[] = { { .name = "address" }, ACCESS_FIELDS };
	struct listen_access own = *access;
	struct cfg_node address = cfg_member(n, "address");
	size_t at = out->count;
	bool detailed = (may & ACCESS) && json_is_object(n->value);

	if (detailed) {
		own.set = false;
		cfg_section(d, n, fields, COUNT(fields), NULL);
		read_access(d, n, &own);
	}
	take_address(d, detailed ? &address : n, dir, may, out);
	if (d->failed)
		return;
	if (detailed && own.set && !listen_addr_is_unix(&out->addr[at]))
		cfg_fail(d, n, JSONPOS_VALUE,
		         "has no unix socket, which mode, user and group are of");
	own.set |= access->set;
	if (listen_addr_is_unix(&out->addr[at]))
		out->addr[at].access = own;
}

static void read_list(struct cfg_doc *d, const struct cfg_node *list, const char *dir, int may,
                      const struct listen_access *access, struct config_listen *out)
{
	size_t count = json_array_size(list->value);

	if (!cfg_want_array(d, list))
		return;
	if (count < 1 || count > CONFIG_LISTEN_MAX)
		cfg_fail(d, list, JSONPOS_VALUE, "has %zu addresses, must have 1 to %d", count,
		         CONFIG_LISTEN_MAX);
	for (size_t i = 0; i < count && !d->failed; i++) {
		struct cfg_node e = cfg_element(list, i);

		read_address(d, &e, dir, may, access, out);
	}
}

/* Who may speak */

static void read_peers(struct cfg_doc *d, const struct cfg_node *section, struct config_listen *out)
{
	struct cfg_node list = cfg_member(section, "peers");
	size_t count = json_array_size(list.value);

	if (!list.value || !cfg_want_array(d, &list))
		return;
	if (count < 1 || count > CONFIG_PEERS_MAX)
		cfg_fail(d, &list, JSONPOS_VALUE, "has %zu users, must have 1 to %d", count,
		         CONFIG_PEERS_MAX);
	for (size_t i = 0; i < count && !d->failed; i++) {
		struct cfg_node e = cfg_element(&list, i);

		out->peers += want_account(d, &e, out->peer[out->peers]);
	}
}

/* HAProxy writes it into log lines and SPOE arguments, so it has no quotes and no blanks. */
static void read_secret(struct cfg_doc *d, const struct cfg_node *section,
                        struct config_listen *out)
{
	struct cfg_node n = cfg_member(section, "secret");
	const char *s;

	if (!cfg_string(d, section, "secret", CONFIG_SECRET_MAX, &s))
		return;
	if (strlen(s) < CONFIG_SECRET_MIN ||
	    s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")])
		cfg_fail(d, &n, JSONPOS_VALUE,
		         "must have %d to %d bytes, letters, digits and _ . - only",
		         CONFIG_SECRET_MIN, CONFIG_SECRET_MAX);
	else
		out->secret = s;
}

/* What is said of unix sockets where there are none would be taken for protection. */
static void want_unix(struct cfg_doc *d, const struct cfg_node *section, const char *key,
                      bool streams, const struct config_listen *l)
{
	struct cfg_node n = cfg_member(section, key);

	for (size_t i = 0; i < l->count; i++)
		if (l->addr[i].kind == LISTEN_UNIX ||
		    (!streams && l->addr[i].kind == LISTEN_UNIXGRAM))
			return;
	if (n.value)
		cfg_fail(d, &n, JSONPOS_VALUE,
		         "is about unix sockets, but no \"unix:\" address is listed");
}

static void read_guards(struct cfg_doc *d, const struct cfg_node *section,
                        struct config_listen *out)
{
	read_peers(d, section, out);
	want_unix(d, section, "mode", false, out);
	want_unix(d, section, "user", false, out);
	want_unix(d, section, "group", false, out);
	want_unix(d, section, "peers", true, out);
}

static void read_listener(struct cfg_doc *d, const struct cfg_node *root, const char *dir,
                          const char *key, int may, struct config_listen *out)
{
	static const struct cfg_field fields[] = {
		{ .name = "listen" },
		ACCESS_FIELDS,
		{ .name = "peers" },
		{ .name = "secret" },
	};
	struct cfg_node n = cfg_member(root, key), list;
	struct listen_access access = { .set = false };

	if (!cfg_want_object(d, &n))
		return;
	cfg_section(d, &n, fields, COUNT(fields), NULL);
	read_access(d, &n, &access);
	list = cfg_member(&n, "listen");
	read_list(d, &list, dir, may | ACCESS, &access, out);
	read_guards(d, &n, out);
	read_secret(d, &n, out);
}

static void read_http(struct cfg_doc *d, const struct cfg_node *root, const char *dir,
                      struct config_listen *out)
{
	static const struct cfg_field fields[] = { { .name = "listen" },
		                                   ACCESS_FIELDS,
		                                   { .name = "peers" } };
	struct cfg_node n = cfg_member(root, "http"), listen;
	struct listen_access access = { .set = false };

	if (!n.value)
		return;
	cfg_section(d, &n, fields, COUNT(fields), NULL);
	read_access(d, &n, &access);
	listen = cfg_member(&n, "listen");
	read_address(d, &listen, dir, 0, &access, out);
	read_guards(d, &n, out);
}

/* A difference is seen from one poll to the next at the soonest. */
static void read_grace(struct cfg_doc *d, const struct cfg_node *haproxy, struct config *c)
{
	struct cfg_node grace = cfg_member(haproxy, "grace");

	if (c->haproxy_grace >= c->haproxy_poll)
		return;
	if (grace.value)
		cfg_fail(d, &grace, JSONPOS_VALUE,
		         "is shorter than \"haproxy.poll\", which is %g ms",
		         (double)c->haproxy_poll / (double)SLO_NSEC_PER_MSEC);
	else
		c->haproxy_grace = c->haproxy_poll;
}

static void read_haproxy(struct cfg_doc *d, const struct cfg_node *root, const char *dir,
                         struct config *c)
{
	static const struct cfg_field fields[] = {
		{ .name = "runtime_api" },
		{ "poll", CFG_TIME, offsetof(struct config, haproxy_poll), 50 * SLO_NSEC_PER_MSEC,
		  HOUR },
		{ "grace", CFG_TIME, offsetof(struct config, haproxy_grace), 0, HOUR },
	};
	const struct listen_access nobody = { .set = false }; /* these are others' sockets */
	struct cfg_node n = cfg_member(root, "haproxy"), list = cfg_member(&n, "runtime_api");

	if (!n.value)
		return;
	cfg_section(d, &n, fields, COUNT(fields), c);
	read_grace(d, &n, c);
	read_list(d, &list, dir, 0, &nobody, &c->runtime_api);
}

bool config_listen_equal(const struct config_listen *a, const struct config_listen *b)
{
	if (a->count != b->count || a->peers != b->peers)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!listen_addr_equal(&a->addr[i], &b->addr[i]) ||
		    !listen_access_equal(&a->addr[i].access, &b->addr[i].access))
			return false;
	for (size_t i = 0; i < a->peers; i++)
		if (strcmp(a->peer[i], b->peer[i]) != 0)
			return false;
	return true;
}

void config_addresses_read(struct cfg_doc *d, const struct cfg_node *root, const char *dir,
                           struct config *c)
{
	read_listener(d, root, dir, "spop", 0, &c->spop);
	read_listener(d, root, dir, "events", DATAGRAMS, &c->events);
	read_http(d, root, dir, &c->http);
	read_haproxy(d, root, dir, c);
}

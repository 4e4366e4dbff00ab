#include "conf/config_addresses.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HOUR     (3600 * SLO_NSEC_PER_SEC)

static bool is_listed(const struct config_listen *l, const struct listen_addr *a)
{
	/* Port 0 is another one each time. */
	if (a->kind != LISTEN_UNIX && a->port == 0)
		return false;
	for (size_t i = 0; i < l->count; i++)
		if (listen_addr_equal(a, &l->addr[i]))
			return true;
	return false;
}

static void read_address(struct cfg_doc *d, const struct cfg_node *n, const char *dir, bool udp,
                         struct config_listen *out)
{
	struct listen_addr *addr = &out->addr[out->count];
	const char *s, *why;

	if (!cfg_want_string(d, n, SIZE_MAX, &s))
		return;
	if (!listen_addr_parse(s, dir, addr, &why))
		cfg_fail(d, n, JSONPOS_VALUE, "address \"%s\" %s", cfg_quote(s).s, why);
	else if (addr->kind == LISTEN_UDP && !udp)
		cfg_fail(d, n, JSONPOS_VALUE,
		         "address \"%s\" is UDP, which only events.listen can have",
		         cfg_quote(s).s);
	else if (is_listed(out, addr))
		cfg_fail(d, n, JSONPOS_VALUE, "address \"%s\" is in this list already",
		         cfg_quote(s).s);
	else
		out->count++;
}

static const struct cfg_field listen_fields[] = { { .name = "listen" } };

static void read_list(struct cfg_doc *d, const struct cfg_node *list, const char *dir, bool udp,
                      struct config_listen *out)
{
	size_t count = json_array_size(list->value);

	if (!cfg_want_array(d, list))
		return;
	if (count < 1 || count > CONFIG_LISTEN_MAX)
		cfg_fail(d, list, JSONPOS_VALUE, "has %zu addresses, must have 1 to %d", count,
		         CONFIG_LISTEN_MAX);
	for (size_t i = 0; i < count && !d->failed; i++) {
		struct cfg_node e = cfg_element(list, i);

		read_address(d, &e, dir, udp, out);
	}
}

static void read_listener(struct cfg_doc *d, const struct cfg_node *root, const char *dir,
                          const char *key, bool udp, struct config_listen *out)
{
	struct cfg_node n = cfg_member(root, key), list;

	if (!cfg_want_object(d, &n))
		return;
	cfg_section(d, &n, listen_fields, COUNT(listen_fields), NULL);
	list = cfg_member(&n, "listen");
	read_list(d, &list, dir, udp, out);
}

static void read_http(struct cfg_doc *d, const struct cfg_node *root, const char *dir,
                      struct config_listen *out)
{
	struct cfg_node n = cfg_member(root, "http"), listen;

	if (!n.value)
		return;
	cfg_section(d, &n, listen_fields, COUNT(listen_fields), NULL);
	listen = cfg_member(&n, "listen");
	read_address(d, &listen, dir, false, out);
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
	struct cfg_node n = cfg_member(root, "haproxy"), list = cfg_member(&n, "runtime_api");

	if (!n.value)
		return;
	cfg_section(d, &n, fields, COUNT(fields), c);
	read_grace(d, &n, c);
	read_list(d, &list, dir, false, &c->runtime_api);
}

void config_addresses_read(struct cfg_doc *d, const struct cfg_node *root, const char *dir,
                           struct config *c)
{
	read_listener(d, root, dir, "spop", false, &c->spop);
	read_listener(d, root, dir, "events", true, &c->events);
	read_http(d, root, dir, &c->http);
	read_haproxy(d, root, dir, c);
}

#include "conf/config_redis.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define URL_MAX  4095
#define NAME_MAX 253
#define WORD_MAX 64
#define DAY      (86400 * SLO_NSEC_PER_SEC)

static void read_url(struct reader *r, const struct node *redis, struct config_redis *out)
{
	struct node url = node_member(redis, "url");
	const char *text, *why;

	if (!reader_want_string(r, &url, URL_MAX, &text))
		return;
	/* The value is not quoted: it may have a password. */
	if (redis_url_parse(text, strlen(text), &out->url, &why) != SLO_OK)
		reader_fail(r, &url, JSONPOS_VALUE, "%s", why);
}

/* What only TLS can use is a mistake without it. */
static void check_tls(struct reader *r, const struct node *redis, struct config_redis *out)
{
	static const char *const keys[] = { "ca_file", "cert_file", "key_file", "server_name" };
	struct node key = node_member(redis, "key_file");

	for (size_t i = 0; i < COUNT(keys); i++) {
		struct node n = node_member(redis, keys[i]);

		if (n.value && out->url.kind != REDIS_URL_TLS)
			reader_fail(r, &n, JSONPOS_KEY, "needs an url with rediss://");
	}
	if (out->key_file && !out->cert_file)
		reader_fail(r, &key, JSONPOS_KEY, "needs a cert_file");
}

static void read_files(struct reader *r, const struct node *redis, const char *dir,
                       struct config_redis *out)
{
	(void)cfg_path(r, redis, "ca_file", dir, &out->ca_file);
	(void)cfg_path(r, redis, "cert_file", dir, &out->cert_file);
	(void)cfg_path(r, redis, "key_file", dir, &out->key_file);
	(void)reader_string(r, redis, "server_name", NAME_MAX, &out->server_name);
	check_tls(r, redis, out);
}

void config_redis_read(struct reader *r, const struct node *profiles, const char *dir,
                       struct config_redis *out)
{
	static const struct cfg_field fields[] = {
		{ .name = "url" },
		{ "refresh", CFG_TIME, offsetof(struct config_redis, refresh),
		  100 * SLO_NSEC_PER_MSEC, DAY },
		{ .name = "trace" },
		{ .name = "ca_file" },
		{ .name = "cert_file" },
		{ .name = "key_file" },
		{ .name = "server_name" },
	};
	struct node redis = node_member(profiles, "redis");

	if (!redis.value)
		return;
	cfg_section(r, &redis, fields, COUNT(fields), out);
	read_url(r, &redis, out);
	(void)reader_bool(r, &redis, "trace", &out->trace);
	read_files(r, &redis, dir, out);
}

/* What becomes part of a key in Redis. */
static void read_word(struct reader *r, const struct node *section, const char *key,
                      const char **out)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_.-";
	struct node n = node_member(section, key);

	if (!reader_want_string(r, &n, WORD_MAX, out))
		return;
	if ((*out)[strspn(*out, allowed)] != '\0')
		reader_fail(r, &n, JSONPOS_VALUE,
		            "is \"%s\", must be 1 to 64 letters, digits and _ . -",
		            reader_quote(*out).s);
}

void config_cluster_read(struct reader *r, const struct node *root, const char *dir,
                         struct config_cluster *out)
{
	static const struct cfg_field fields[] = {
		{ .name = "redis" },       { .name = "name" },      { .name = "group" },
		{ .name = "ca_file" },     { .name = "cert_file" }, { .name = "key_file" },
		{ .name = "server_name" },
	};
	struct node n = node_member(root, "cluster"), url = node_member(&n, "redis");
	const char *text, *why;

	if (!n.value)
		return;
	cfg_section(r, &n, fields, COUNT(fields), NULL);
	read_word(r, &n, "name", &out->name);
	if (node_member(&n, "group").value)
		read_word(r, &n, "group", &out->group);
	/* The value is not quoted: it may have a password. */
	if (reader_want_string(r, &url, URL_MAX, &text) &&
	    redis_url_parse_sentinels(text, strlen(text), &out->redis.url, &out->sentinels, &why) !=
	        SLO_OK)
		reader_fail(r, &url, JSONPOS_VALUE, "%s", why);
	read_files(r, &n, dir, &out->redis);
}

void config_redis_fini(struct config_redis *r)
{
	free(r->ca_file);
	free(r->cert_file);
	free(r->key_file);
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool config_redis_same_peer(const struct config_redis *a, const struct config_redis *b)
{
	const struct redis_url *x = &a->url, *y = &b->url;

	return x->kind == y->kind && x->port == y->port && x->db == y->db &&
	       same(x->host, y->host) && same(x->path, y->path) && same(x->user, y->user) &&
	       same(x->password, y->password) && same(a->ca_file, b->ca_file) &&
	       same(a->cert_file, b->cert_file) && same(a->key_file, b->key_file) &&
	       same(a->server_name, b->server_name);
}

static bool same_sentinels(const struct redis_sentinels *a, const struct redis_sentinels *b)
{
	if (a->count != b->count || !same(a->service, b->service))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->at[i].port != b->at[i].port || !same(a->at[i].host, b->at[i].host))
			return false;
	return true;
}

bool config_cluster_same(const struct config_cluster *a, const struct config_cluster *b)
{
	return config_redis_same_peer(&a->redis, &b->redis) &&
	       same_sentinels(&a->sentinels, &b->sentinels) && same(a->name, b->name) &&
	       same(a->group, b->group);
}

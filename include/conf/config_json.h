/* config_json.h - the sections of the configuration: tables of settings, read by
 * wire/json/reader.h, for config.c and what it is made of: config_addresses, config_routing,
 * config_models, config_redis. */
#ifndef SLO_CONF_CONFIG_JSON_H
#define SLO_CONF_CONFIG_JSON_H

#include "conf/config.h"
#include "wire/json/reader.h"

enum cfg_type {
	CFG_ELSEWHERE, /* known, but read by the caller */
	CFG_COUNT,     /* size_t, from an integer */
	CFG_U64,       /* uint64_t, from an integer */
	CFG_SIZE,      /* size_t in bytes, from "64k" or an integer */
	CFG_TIME,      /* slo_nsec, from "30s" or an integer in milliseconds */
};

struct cfg_field {
	const char *name;
	enum cfg_type type;
	size_t offset;    /* into the section's struct */
	int64_t min, max; /* both allowed; of a time in nanoseconds */
};

/* Checks that n is an object that has only these keys, and stores those that are there into
 * `section`; the others keep their default. Nothing happens when n is absent. */
void cfg_section(struct reader *r, const struct node *n, const struct cfg_field *fields,
                 size_t count, void *section);

/* A member that is a file, relative to dir. *out is for free(). False: it is absent or an error was
 * kept. */
bool cfg_path(struct reader *r, const struct node *object, const char *key, const char *dir,
              char **out);

#endif

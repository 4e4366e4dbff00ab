/* HAProxy's files, read and compared with a configuration that fits the samples. A line "%%" parts
 * the input into files, so that one input has haproxy.cfg and the SPOE file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/haproxy/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config[] =
    "{\"spop\":{\"listen\":[\"127.0.0.1:9901\",\"unix:/run/spop.sock\"]},"
    "\"events\":{\"listen\":[\"127.0.0.1:9902\",\"udp:127.0.0.1:9902\"],\"secret\":"
    "\"0123456789abcdef\"},"
    "\"http\":{\"listen\":\"0.0.0.0:9903\"},"
    "\"haproxy\":{\"runtime_api\":[\"unix:/run/haproxy/admin.sock\"]},"
    "\"models\":{\"llama2-7b\":{\"deployments\":{\"a10\":{\"servers\":[\"a10-1\"]},"
    "\"l20\":{\"servers\":[\"l20-*\"]}}},\"m2\":{\"deployments\":{\"x\":{\"servers\":[\"s1\"]}}}}}";

static const char *environment(void *user, const char *name)
{
	(void)user;
	return strcmp(name, "SET") == 0 ? "value" : NULL;
}

static void read_parts(struct hapconf *hap, const char *p, const char *end)
{
	while (p < end) {
		const char *cut = memmem(p, (size_t)(end - p), "\n%%\n", 4);
		const char *stop = cut ? cut : end;

		if (hapconf_read(hap, "f", p, (size_t)(stop - p)) == SLO_ENOMEM)
			abort();
		p = cut ? cut + 4 : end;
	}
}

static void on_spoe_file(void *user, const char *named_by, const char *path)
{
	*(size_t *)user += strlen(named_by) + strlen(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config *conf;
	struct hap_findings found = { 0 };
	struct doc_error err;
	struct hapconf hap;
	size_t named = 0;

	if (!conf && !(conf = config_parse(config, sizeof(config) - 1, "slo.json", &err)))
		abort();
	hapconf_init(&hap, environment, NULL);
	read_parts(&hap, (const char *)data, (const char *)data + size);
	hap_spoe_files(&hap, on_spoe_file, &named);
	hap_check(conf, &hap, &found);
	for (size_t i = 0; i < found.count; i++) {
		const struct hap_finding *f = &found.list[i];

		if (!f->code[0] || !f->text[0] || (f->line == 0) != (f->file == NULL))
			abort();
	}
	hap_findings_free(&found);
	hapconf_free(&hap);
	return 0;
}

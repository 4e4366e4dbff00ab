/* What agents tell each other: a message, and the values of an agent's key. What is read can be
 * written again, and then it is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/cluster/news.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static bool same(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static void again(const struct news_record *r)
{
	uint8_t out[NEWS_RECORD_MAX];
	size_t value, len;
	struct news_lease l;

	check(r->id.len > 0);
	if (r->ended) {
		check(news_pack_end(r->id, r->owner, &r->end, out) > 0);
		return;
	}
	len = news_pack_lease(r->id, &r->lease, out, &value);
	check(len > 0 && news_read_lease((struct slice){ out + value, len - value }, &l) == SLO_OK);
	check(same(l.server, r->lease.server) && l.placed == r->lease.placed &&
	      l.load == r->lease.load && l.flags == r->lease.flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct slice in = { data, size };
	uint8_t out[NEWS_TAIL_MAX];
	struct news_reader r;
	struct news_record record;
	struct news_head h;
	struct news_lease l;
	struct news_mark m;
	slo_err err;

	if (news_open(&r, in, &h) == SLO_OK) {
		check(news_is_name(h.name) && h.now >= 0);
		check(news_pack_head(&h, 0, out) > 0);
		while ((err = news_next(&r, &record)) != SLO_ENOENT)
			if (err == SLO_OK)
				again(&record);
		if (news_close(&r, &h) == SLO_OK)
			check(h.processes <= NEWS_PROCESSES_MAX && news_pack_tail(&h, out) > 0);
	}
	if (news_read_lease(in, &l) == SLO_OK)
		check(l.backend.len > 0 && l.server.len > 0 && l.strategy.len > 0);
	if (news_read_mark(in, &m) == SLO_OK)
		check(m.now >= 0);
	return 0;
}

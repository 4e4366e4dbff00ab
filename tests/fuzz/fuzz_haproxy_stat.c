/* An answer of HAProxy's runtime API, whole and in pieces: both must say the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/haproxy_stat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t items, numbers;
	slo_err err;
};

static void add(struct sum *sum, const struct haproxy_item *item)
{
	sum->items++;
	sum->numbers = sum->numbers * 31 + (uint64_t)item->kind;
	if (item->kind == HAPROXY_TEXT) {
		if (item->text.len == 0 || memchr(item->text.p, '\n', item->text.len))
			abort();
		sum->numbers += item->text.len;
	} else if (item->kind == HAPROXY_ADDRESS) {
		if (item->address.backend.len == 0 || item->address.name.len == 0 ||
		    item->address.address.len == 0)
			abort();
		sum->numbers += item->address.port + item->address.address.p[0];
	} else if (item->kind != HAPROXY_SERVER) {
		sum->numbers += item->number;
	} else {
		if (item->server.backend.len == 0 || item->server.name.len == 0)
			abort();
		sum->numbers += item->server.sessions + item->server.name.len +
		                item->server.backend.p[0] + (uint64_t)item->server.state;
	}
}

static struct sum read_all(struct haproxy_stat *p, const uint8_t *data, size_t size, size_t piece)
{
	struct sum sum = { 0, 0, SLO_ESHORT };
	struct haproxy_item item;

	haproxy_stat_init(p);
	for (size_t at = 0; at < size && sum.err == SLO_ESHORT; at += piece) {
		struct slice in = { data + at, size - at < piece ? size - at : piece };

		while ((sum.err = haproxy_stat_next(p, &in, &item)) == SLO_OK)
			add(&sum, &item);
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct haproxy_stat whole, cut;
	struct sum a = read_all(&whole, data, size, size ? size : 1);
	struct sum b = read_all(&cut, data, size, size ? 1 + data[0] % 7 : 1);

	if (a.items != b.items || a.numbers != b.numbers || a.err != b.err ||
	    whole.blocks != cut.blocks)
		abort();
	return 0;
}

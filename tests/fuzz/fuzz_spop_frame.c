/* The path of a peer's bytes: whole frames off a buffer, each decoded by its type. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "wire/rd.h"
#include "wire/route_msg.h"
#include "wire/spop.h"
#include "spop_client.h"
#include "wire/spop_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const struct spop_frame *f)
{
	struct spop_hello hello;
	struct spop_agent_hello agent;
	struct spop_disconnect bye;
	struct route_msg m;
	struct spop_client_var var;
	struct rd r;

	if (f->type == SPOP_HAPROXY_HELLO && spop_hello_decode(f, &hello) == SPOP_S_NORMAL &&
	    hello.max_frame_size < SPOP_MAX_FRAME_MIN)
		abort();
	if (f->type == SPOP_NOTIFY && route_msg_parse(f->payload, &m) == SLO_OK &&
	    (m.size < (int64_t)m.body.len || m.id.len > ROUTE_MSG_ID_MAX))
		abort();
	if (f->type == SPOP_ACK) {
		rd_init(&r, f->payload);
		while (spop_client_var_next(&r, &var))
			;
	}
	(void)!spop_client_agent_hello_decode(f, &agent);
	(void)!spop_disconnect_decode(f, &bye);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spop_frame f;
	size_t whole;

	while (spop_peek(data, size, 16380, &whole) == SLO_OK) {
		if (whole > size || whole < SPOP_LENGTH_SIZE + SPOP_FRAME_MIN)
			abort();
		if (spop_frame(data + SPOP_LENGTH_SIZE, whole - SPOP_LENGTH_SIZE, &f) == SLO_OK)
			decode(&f);
		data += whole;
		size -= whole;
	}
	return 0;
}

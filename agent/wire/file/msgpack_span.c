#include "wire/file/msgpack_span.h"

/* What follows a first byte: a big-endian number of `size` bytes, which is an amount of bytes or of
 * objects, or else `bytes` of the value itself. */
struct layout {
	uint8_t size, bytes;
	uint8_t objects; /* per counted thing; 0: it counts bytes */
};

/* 0xc0 to 0xdf. */
static const struct layout layouts[32] = {
	[0x04] = { 1, 0, 0 },  [0x05] = { 2, 0, 0 }, [0x06] = { 4, 0, 0 }, /* bin */
	[0x07] = { 1, 1, 0 },  [0x08] = { 2, 1, 0 }, [0x09] = { 4, 1, 0 }, /* ext */
	[0x0a] = { 0, 4, 0 },  [0x0b] = { 0, 8, 0 },                       /* float */
	[0x0c] = { 0, 1, 0 },  [0x0d] = { 0, 2, 0 }, [0x0e] = { 0, 4, 0 }, [0x0f] = { 0, 8, 0 },
	[0x10] = { 0, 1, 0 },  [0x11] = { 0, 2, 0 }, [0x12] = { 0, 4, 0 }, [0x13] = { 0, 8, 0 },
	[0x14] = { 0, 2, 0 },  [0x15] = { 0, 3, 0 }, [0x16] = { 0, 5, 0 }, [0x17] = { 0, 9, 0 },
	[0x18] = { 0, 17, 0 },                                             /* fixext */
	[0x19] = { 1, 0, 0 },  [0x1a] = { 2, 0, 0 }, [0x1b] = { 4, 0, 0 }, /* str */
	[0x1c] = { 2, 0, 1 },  [0x1d] = { 4, 0, 1 },                       /* array */
	[0x1e] = { 2, 0, 2 },  [0x1f] = { 4, 0, 2 },                       /* map */
};

/* The object that `in` starts with, without the objects inside it: how many bytes it has, and how
 * many objects follow as its elements. */
static slo_err token(struct slice in, uint64_t *bytes, uint64_t *objects)
{
	uint8_t first = in.p[0];
	const struct layout *l;
	uint64_t n = 0;

	*objects = 0;
	*bytes = 1;
	if (first < 0x80 || first >= 0xe0)
		return SLO_OK;
	if (first < 0xc0) {
		*objects = first < 0x90 ? 2u * (first & 0x0fu) : first < 0xa0 ? first & 0x0fu : 0;
		*bytes += first >= 0xa0 ? first & 0x1fu : 0;
		return SLO_OK;
	}
	if (first == 0xc1)
		return SLO_EPROTO;
	l = &layouts[first - 0xc0];
	if (l->size >= in.len)
		return SLO_ESHORT;
	for (size_t i = 1; i <= l->size; i++)
		n = n << 8 | in.p[i];
	*objects = n * l->objects;
	*bytes += l->size + l->bytes + (l->objects ? 0 : n);
	return SLO_OK;
}

slo_err msgpack_span(struct slice in, size_t *span)
{
	uint64_t owed = 1, bytes, objects; /* objects still to come, each of a byte at least */
	size_t at = 0;

	while (owed > 0) {
		slo_err err;

		if (owed > in.len - at)
			return SLO_ESHORT;
		err = token((struct slice){ in.p + at, in.len - at }, &bytes, &objects);
		if (err != SLO_OK)
			return err;
		if (bytes > in.len - at)
			return SLO_ESHORT;
		at += (size_t)bytes;
		owed += objects - 1;
	}
	*span = at;
	return SLO_OK;
}

slo_err msgpack_span_array(struct slice in, size_t longest, msgpack_unpacked *u,
                           msgpack_object_array *out, size_t *span)
{
	size_t len, at = 0;
	slo_err err = msgpack_span(in, &len);

	if (err == SLO_ESHORT && in.len > longest)
		return SLO_EPROTO;
	if (err != SLO_OK)
		return err;
	if (len > longest)
		return SLO_EPROTO;
	switch (msgpack_unpack_next(u, (const char *)in.p, len, &at)) {
	case MSGPACK_UNPACK_SUCCESS:
		break;
	case MSGPACK_UNPACK_NOMEM_ERROR:
		return SLO_ENOMEM;
	default:
		return SLO_EPROTO;
	}
	if (u->data.type != MSGPACK_OBJECT_ARRAY)
		return SLO_EPROTO;
	*out = u->data.via.array;
	*span = len;
	return SLO_OK;
}

/* news.h - what the agents of a group tell each other through Redis, as MessagePack:
 *
 *     message  [1, kind, name, incarnation, number, now, [record, ...], [process, ...]]  published
 *     record   [0, id, lease]          a request was placed
 *              [1, id, end]            it is over
 *              [2, id, end, owner]     that of another agent, which is silent, is over
 *     lease    [model, backend, server, strategy, load, placed, input, output, estimate, limit,
 *               sequences, class, flags]
 *     end      [flags, outcome, input, output, bytes, cached, lasted, backend, server, event]
 *     mark     [1, incarnation, number, now, whole, told] the field "" of an agent's key
 *
 * An agent's key is a hash with a lease for each of its open requests, by their ids. Its mark says
 * which message it is up to, which one was told last or is about to be, and whether it has the open
 * requests of former incarnations too.
 * `number` counts the messages of an incarnation that have records or replace them; `now` and
 * `placed` count in microseconds of the sender's own clock, so that nobody compares the clocks of
 * two hosts: what they tell is their difference, an age. A process is a HAProxy that the sender
 * asks for its counts, by a hash.
 *
 * Elements behind those that are known here are passed over, so a later version may add some.
 * Pure: bytes in, bytes out. Every byte is hostile. */
#ifndef SLO_WIRE_CLUSTER_NEWS_H
#define SLO_WIRE_CLUSTER_NEWS_H

#include <stdbool.h>

#include "slo.h"
#include "wire/rd.h"

#define NEWS_NAME_MAX    64
#define NEWS_TEXT_MAX    255         /* of an id, model, backend, server, strategy */
#define NEWS_MESSAGE_MAX (128 << 10) /* bytes; a longer one is not read */
#define NEWS_RECORD_MAX  1500        /* bytes of a record whose texts have 255 at most */
#define NEWS_HEAD_MAX    128         /* bytes of a message before its first record, of a mark */
#define NEWS_TAIL_MAX    160         /* bytes behind its records */

enum news_kind {
	NEWS_RECORDS, /* the next ones */
	NEWS_ANEW,    /* the key was written anew: read it again */
	NEWS_BEAT,    /* nothing new: `number` is that of the last message */
	NEWS_HELLO,   /* who else has this name? */
};
#define NEWS_KINDS         4
#define NEWS_PROCESSES_MAX 16

struct news_head {
	enum news_kind kind;
	struct slice name; /* of the sender: 1 to 64 letters, digits and _ . - */
	uint64_t incarnation, number;
	int64_t now;                          /* us since the sender began; at least 0 */
	uint64_t process[NEWS_PROCESSES_MAX]; /* [processes] */
	size_t processes;
};

struct news_mark {
	uint64_t incarnation, number;
	uint64_t told; /* at least number; that is what older versions, who do not tell it, mean */
	int64_t now;
	bool whole;
};

#define NEWS_STREAM         1u
#define NEWS_STREAM_GUESSED 2u
#define NEWS_FALLBACK       4u
#define NEWS_MUTE(flags)    ((flags) >> 8) /* what its end cannot teach */

struct news_lease {
	struct slice model; /* len 0: it has none any more */
	struct slice backend, server, strategy;
	uint64_t load;
	int64_t placed; /* us on the sender's clock; may be negative */
	int64_t input, output, estimate, limit, sequences;
	uint32_t class, flags; /* NEWS_... */
};

#define NEWS_END_TOLD    1u /* HAProxy told it, and the rest says how; else it was given up */
#define NEWS_END_ENCODED 2u /* the answer was compressed */

struct news_end {
	uint32_t flags;
	uint32_t outcome;                     /* the sender's enum lesson_outcome */
	int64_t input, output, bytes, cached; /* -1: not told */
	int64_t lasted;                       /* us from its placing to its end; -1: unknown */
	struct slice backend, server;         /* that answered; len 0: not told */
	int64_t event; /* bytes of a stream's first event; is missing where none is told: -1 */
};

struct news_record {
	bool ended;
	struct slice id;    /* 1 to 255 bytes */
	struct slice owner; /* of what ended; len 0: the sender */
	union {
		struct news_lease lease;
		struct news_end end; /* if ended */
	};
};

/* Writing: the length of what is in out; 0: a text in it is too long. */
size_t news_pack_lease(struct slice id, const struct news_lease *l, uint8_t out[NEWS_RECORD_MAX],
                       size_t *value); /* where the lease alone begins */
/* owner len 0: it is ours. */
size_t news_pack_end(struct slice id, struct slice owner, const struct news_end *e,
                     uint8_t out[NEWS_RECORD_MAX]);
/* Where the id stands in a record; it has so many bytes. */
static inline size_t news_id_at(size_t len)
{
	return len < 32 ? 3 : 4;
}
/* All of a message before its records, of which that many follow; and what comes behind them. */
size_t news_pack_head(const struct news_head *h, size_t records, uint8_t out[NEWS_HEAD_MAX]);
size_t news_pack_tail(const struct news_head *h, uint8_t out[NEWS_TAIL_MAX]);
size_t news_pack_mark(const struct news_mark *m, uint8_t out[NEWS_HEAD_MAX]);

/* Reading: news_open(), news_next() until there are no more, news_close(). Each byte is looked at
 * once, so only news_close() tells whether the message was whole. Texts stay in the bytes that are
 * read, which must outlive the reader; they may have bytes of any value. */
struct news_reader {
	struct rd rest;
	uint64_t parts, left; /* of the message; records */
};

/* SLO_EPROTO: it is no message. */
MUSTCHECK slo_err news_open(struct news_reader *r, struct slice message, struct news_head *out);
/* SLO_ENOENT: that was all. SLO_EPROTO: this one is malformed, and is passed over. Only after
 * SLO_OK *out says something. */
MUSTCHECK slo_err news_next(struct news_reader *r, struct news_record *out);
/* After the last one. Fills in the processes of *out, the head that news_open() read. SLO_EPROTO:
 * the message breaks off or does not end as one does, so records may be missing. */
MUSTCHECK slo_err news_close(struct news_reader *r, struct news_head *out);

/* The values of an agent's key. */
MUSTCHECK slo_err news_read_lease(struct slice value, struct news_lease *out);
MUSTCHECK slo_err news_read_mark(struct slice value, struct news_mark *out);

/* Whether it may be the name of an agent or a group. */
bool news_is_name(struct slice name);

#endif

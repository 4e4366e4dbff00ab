/* cluster_private.h - what the files of the cluster share.
 *
 *   cluster.c         life, timers, joining, who else has our name
 *   cluster_tell.c    what we place and what ends, to those who hear us
 *   cluster_key.c     what is open here, to our key in Redis
 *   cluster_records.c records that gather
 *   cluster_hear.c    messages of others, to the scheduler
 *   cluster_read.c    keys of others, to the scheduler
 *   cluster_turns.c   how soon others hear us, and who takes room when
 *   cluster_defer.c   HAProxy's lines about the requests of others
 *   cluster_warn.c    what is wrong for as long as it comes again and again
 *   cluster_status.c  what is told of it all */
#ifndef SLO_IO_CLUSTER_CLUSTER_PRIVATE_H
#define SLO_IO_CLUSTER_CLUSTER_PRIVATE_H

#include "core/foreign.h"
#include "io/agent/stats.h"
#include "io/cluster/cluster.h"
#include "io/cluster/cluster_link.h"
#include "wire/cluster/news.h"

#define CLUSTER_KEY_SIZE 192               /* bytes */
#define TOGETHER_MAX     1024              /* records in one message */
#define PEERS_MAX        256               /* agents of a group that are heard */
#define DEFERRED_MAX     16384             /* end lines that wait */
#define DEFERRED_BYTES   ((size_t)8 << 20) /* of them together */
#define KEEP_SECONDS     "600"             /* CLUSTER_KEEP */

/* What our questions to Redis are for. */
enum ask_kind {
	ASK_NOTHING, /* no reply is of use, but one that refuses */
	ASK_TOLD,    /* PUBLISH at `number`, us on our clock, its low bits */
	ASK_STORED,  /* HSET: so many fields are new, number at most */
	ASK_KEPT,    /* EXPIRE of our key */
	ASK_NAMESAKES,
	ASK_MEMBERS,
	ASK_MARK, /* of the peer `number` */
	ASK_LIFE, /* PTTL of its key */
	ASK_PAGE,
	ASK_CHANNEL,  /* of the connection that hears: no command of cluster_ask() */
	ASK_TOLD_ALL, /* as ASK_TOLD, and nothing was left to be told then */
};

/* End lines that wait for news of their requests' owners. */
struct deferred_line {
	slo_nsec due;
	size_t len;
	uint8_t *bytes;
	bool unknown; /* nobody told us of its request */
};

struct cluster_deferred {
	struct deferred_line
	    line[DEFERRED_MAX]; /* [first, first + count), a ring, in order of due */
	size_t first, count;
	size_t bytes;                   /* of all */
	size_t unknowns, unknown_bytes; /* of those whose request nobody told us of */
	bool feeding;                   /* they come again now */
	ev_timer timer;
};

/* Another agent, or a former life of this one. Kept as long as the cluster is configured. */
struct cluster_peer {
	struct foreign_owner *owner; /* in the scheduler */
	char name[NEWS_NAME_MAX + 1];
	bool self;            /* it has our name */
	uint64_t incarnation; /* 0: none heard yet */
	uint64_t number;      /* of the last message */
	slo_nsec known;       /* since when */
	slo_nsec heard;       /* 0: never */
	bool told_silent;     /* the log was */
	enum cluster_listening {
		LISTEN_NOT,
		LISTEN_ASKED,
		LISTEN_ON
	} listening; /* to its channel */
	bool unsure; /* `number` is the last one that is known; those before may be missing */
	/* Its key is being read: */
	bool reading;           /* or will be, as soon as its channel is heard */
	bool again;             /* and has to be once more */
	uint64_t due;           /* the message that the key should be up to */
	unsigned looks;         /* at its mark */
	bool waits;             /* for the key to be up to that */
	bool behind;            /* it was read before that */
	slo_nsec next_read;     /* then a beat has it read again, if it is behind */
	slo_nsec pause;         /* before the read after that; 0: none */
	struct news_mark mark;  /* incarnation 0: there is no key */
	slo_nsec mark_age;      /* since it was written */
	slo_nsec differs_since; /* its HAProxys are not among ours; 0: they are */
	size_t pages;           /* of it so far */
	uint64_t gaps, resyncs;
};

/* A record that is to be sent. */
struct record {
	uint32_t at;         /* in the bytes */
	uint16_t len;        /* of the record; 0: a text of it is too long */
	uint16_t value;      /* where the lease begins in it */
	uint16_t id, id_len; /* where the id is in it */
	uint16_t peer;       /* whose it is, or PEER_OURS */
	bool publish;        /* it is news; else only that peer's key changes */
};
#define PEER_OURS UINT16_MAX

struct records {
	uint8_t *bytes;
	size_t len, cap;
	struct record *record; /* [done, count) are to be sent */
	size_t done, count, record_cap;
};

struct cluster_tell {
	struct records news;
	bool anew;       /* the key has to be written anew */
	bool telling;    /* our own key is known, and our name is ours */
	uint64_t number; /* of the last message */
	slo_nsec last;   /* when some were told last */
	ev_timer soon;   /* when the next ones may be */
	uint64_t told, lost, rewrites;
	char channel[CLUSTER_KEY_SIZE]; /* ours */
};

/* Our key. */
struct cluster_kept {
	struct records gone;   /* ids of what is in it and ended */
	struct records fields; /* on their way into it */
	uint64_t number;       /* the message that it is up to */
	size_t changes;        /* fields, since it was */
	slo_nsec due;          /* when it is brought up to date again */
	ev_timer later;        /* then */
	char key[CLUSTER_KEY_SIZE];
};

/* What there is a limit to. */
enum cluster_fulls { FULL_REQUESTS, FULL_AGENTS, CLUSTER_FULLS };

struct cluster {
	struct agent *agent;
	const struct haproxy_api *haproxy;
	const struct config_cluster *conf; /* NULL: none */
	char name[NEWS_NAME_MAX + 1], group[NEWS_NAME_MAX + 1];
	struct cluster_link_user link_user;
	struct cluster_link link;
	struct cluster_tell tell;
	struct cluster_kept kept;
	struct cluster_deferred deferred;
	uint64_t incarnation;
	slo_nsec started;
	ev_prepare before_sleep; /* tells */
	ev_timer beat, limit, namesake;
	ev_timer look;  /* at marks of keys that are behind */
	bool own_read;  /* our own key was, in this life */
	bool own_found; /* and was there: we know of our former lives */
	bool members_read;
	bool joined, refused;
	bool some_denied; /* once */
	bool denied;      /* it was the last reply that made the connections useless, and is told */
	slo_nsec namesake_heard; /* an older process of our name; 0: never */
	size_t peer_count, readings;
	struct cluster_peer *peer[PEERS_MAX];
	uint64_t heard, malformed, unknown;
	struct cluster_full {
		uint64_t count;
		slo_nsec last;
		bool told;
	} full[CLUSTER_FULLS]; /* what found no place */
	struct histogram delay;
	slo_nsec slowest;     /* of the last messages, less as time passes */
	slo_nsec known_until; /* others know of all that we placed until then */
	ev_timer settles;     /* and we of what they placed before they did */
};

/* Microseconds on our clock. */
int64_t cluster_clock(const struct cluster *c, slo_nsec now);
/* NULL: the set of all names. */
void cluster_key(const struct cluster *c, const char *name, char out[CLUSTER_KEY_SIZE]);
void cluster_channel(const struct cluster *c, const char *name, char out[CLUSTER_KEY_SIZE]);
static inline struct cluster_ask ask_of(enum ask_kind kind, uint32_t number)
{
	return (struct cluster_ask){ (uint8_t)(kind + 1), number };
}
void cluster_ask(struct cluster *c, enum ask_kind kind, uint32_t number, int argc,
                 const char **argv, const size_t *len);
/* Something that joining waits for is done. */
void cluster_progress(struct cluster *c);
/* A message of another process with our name. True: we hear it like any other's. */
bool cluster_namesake(struct cluster *c, slo_nsec now, const struct news_head *head);

/* cluster_records.c */
/* For the NEWS_RECORD_MAX bytes of one more; NULL: there is no room for more, or no memory. */
uint8_t *records_room(struct records *l);
/* What was written there. */
void records_add(struct records *l, const struct record *record);
static inline bool records_wait(const struct records *l)
{
	return l->done < l->count;
}
static inline const uint8_t *record_bytes(const struct records *l, const struct record *r)
{
	return l->bytes + r->at;
}
void records_clear(struct records *l);
void records_fini(struct records *l);

/* cluster_tell.c */
void tell_init(struct cluster *c);
void tell_listen(struct cluster *c, bool on);
void tell_reset(struct cluster *c); /* forgets what is not told; the key is written anew */
void tell_fini(struct cluster *c);
/* What is due, if Redis takes it. */
void tell_flush(struct cluster *c, slo_nsec now);
bool tell_is_due(const struct cluster *c);       /* something will be */
void tell_last(struct cluster *c, slo_nsec now); /* all, before the connections are closed */
/* r as a record. */
struct record tell_lease(const struct cluster *c, slo_nsec now, const struct request *r,
                         uint8_t out[NEWS_RECORD_MAX]);
void tell_beat(struct cluster *c, slo_nsec now);
void tell_hello(struct cluster *c, slo_nsec now);

/* cluster_key.c */
void key_fini(struct cluster *c);
/* r, which was in it, ended. */
void key_gone(struct cluster *c, const struct request *r);
/* Something is to be brought up to date; whether that is due. */
bool key_is_behind(const struct cluster *c);
bool key_is_due(const struct cluster *c, slo_nsec now);
/* Brings it up to date, as far as Redis takes it. False: not even its mark was written. */
bool key_keep(struct cluster *c, slo_nsec now);
void key_mark(struct cluster *c, slo_nsec now);
void key_rewrite(struct cluster *c, slo_nsec now);

/* cluster_warn.c */
/* One of them found no place. */
void cluster_is_full(struct cluster *c, slo_nsec now, enum cluster_fulls what);
/* Redis answered this error to a question of that kind. False: it forbids nothing. */
bool cluster_denied(struct cluster *c, slo_nsec now, enum ask_kind kind, const char *error);
/* A question of that kind, or SUBSCRIBE, was answered. */
void cluster_allowed(struct cluster *c, slo_nsec now, enum ask_kind kind);
/* What did not come again for a while is over. */
void cluster_warn_watch(struct cluster *c, slo_nsec now);
void cluster_warn_stop(struct cluster *c, slo_nsec now);

/* cluster_turns.c */
void others_init(struct cluster *c);
/* After every change of who is heard, and now and then. */
void others_deal(struct cluster *c, slo_nsec now);
/* A message has reached all that hear us, which was told at the microsecond `told` of our clock. */
void others_reached(struct cluster *c, slo_nsec now, uint32_t told);
/* The same, and so they know of all that we placed before. */
void others_heard(struct cluster *c, slo_nsec now, uint32_t told);

/* cluster_defer.c */
void defer_init(struct cluster *c);
void defer_lines(struct cluster *c, bool on); /* off: what waits comes now */

/* cluster_hear.c */
/* NULL: there are too many, or out of memory; the log says so. */
struct cluster_peer *hear_peer(struct cluster *c, struct slice name);
bool hear_is_silent(const struct cluster_peer *p, slo_nsec now);
/* What is said on p's channel is to come; hear_channel() follows. */
void hear_listen(struct cluster *c, struct cluster_peer *p);
/* All that is said on the channel comes from now on. */
void hear_channel(struct cluster *c, struct slice channel);
/* Forgets that it listens to p; and tells Redis. */
void hear_no_more(struct cluster *c, struct cluster_peer *p);
void hear_message(struct cluster *c, slo_nsec now, struct slice message);
/* p placed it `age` ago, and its message or mark of that number tells. hash: of its id, by
 * sched_expect(); 0: find it out. */
void hear_lease(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                const struct news_record *r, uint64_t hash, slo_nsec age, uint64_t number);

/* cluster_read.c */
/* Its key is to be read (again). */
void read_key(struct cluster *c, struct cluster_peer *p);
/* It is, now that its channel is heard, or because it is ours. */
void read_begin(struct cluster *c, struct cluster_peer *p);
/* A timer: at keys that were behind. */
void read_look(struct ev_loop *loop, ev_timer *w, int revents);
/* Replies. Not NULL: why the connections are of no use any more. */
const char *read_mark(struct cluster *c, struct cluster_peer *p, const redisReply *reply);
const char *read_life(struct cluster *c, struct cluster_peer *p, const redisReply *reply);
const char *read_page(struct cluster *c, slo_nsec now, struct cluster_peer *p,
                      const redisReply *reply);
/* The connection is lost: what is being read is not. */
void read_abandon(struct cluster *c);

#endif

/* config.h - the configuration file as one const struct, handed down, never global.
 *
 * A value is read strictly: an unknown key, a wrong type, a value out of range, a key given
 * twice or a required one that is missing is an error with its place in the file. Times are
 * strings as HAProxy has them ("500us", "500ms", "30s", "5m", "2h", "1d"; a bare number is
 * milliseconds), sizes "64k", "1m", "1g" or bytes. Relative paths are taken below the
 * directory of the configuration file. The order of models, deployments and servers is the
 * file's.
 *
 * Names: a model or deployment is 1 to 255 bytes of UTF-8, a model not "." or ".."; a backend
 * or server is 1 to 255 of letters, digits and _ . : -, as HAProxy has them. A model whose
 * name is not of that kind must name its backend. With * ? or [ the name of a server is a
 * pattern, as fnmatch() has them without its escapes. */
#ifndef SLO_CONF_CONFIG_H
#define SLO_CONF_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/policy.h"
#include "core/predictor.h"
#include "core/sched.h"
#include "conf/listen_addr.h"
#include "slo.h"
#include "conf/redis_url.h"
#include "wire/json/doc_error.h"
#include "wire/tokens.h"

#define CONFIG_FILE_MAX   ((size_t)16 << 20) /* bytes */
#define CONFIG_LISTEN_MAX 16                 /* addresses of one listener */
#define CONFIG_PEERS_MAX  16                 /* users of one listener */
#define CONFIG_SECRET_MIN 16                 /* bytes */
#define CONFIG_SECRET_MAX 128                /* bytes */
#define CONFIG_NAME_MAX   255                /* bytes */
#define CONFIG_ALIAS_MAX  256                /* of one model */
#define CONFIG_URL_MAX    1024               /* bytes */

/* Room for profile_name(), in which each byte of a model and of a deployment may become three. */
#define CONFIG_PROFILE_NAME_SIZE (2 * 3 * CONFIG_NAME_MAX + 8)

struct json_t; /* <jansson.h> */

/* What a control socket lets people do: look; reset what was counted, too; everything. */
enum config_level { CONFIG_LEVEL_USER, CONFIG_LEVEL_OPERATOR, CONFIG_LEVEL_ADMIN };

const char *config_level_name(enum config_level l); /* as the configuration calls it */

/* A listener, and who may speak to it. */
struct config_listen {
	struct listen_addr addr[CONFIG_LISTEN_MAX];
	size_t count;
	/* Whose processes may connect to unix sockets; none: whoever the socket's mode lets. */
	char peer[CONFIG_PEERS_MAX][LISTEN_ACCOUNT_MAX + 1]; /* [peers], user names or numbers */
	size_t peers;
	enum config_level level[CONFIG_LISTEN_MAX]; /* of "control" */
	const char *secret; /* that comes with what is told over TCP and UDP; NULL: none is asked */
};

/* The same addresses, in the same order, for the same peers. Secrets may differ. */
bool config_listen_equal(const struct config_listen *a, const struct config_listen *b);

struct config_deployment {
	const char *name;
	const char **servers;     /* [server_count], names and patterns, none twice in one model */
	size_t server_count;      /* >= 1; left out: the pattern "*" */
	enum fleet_source source; /* "profile": "auto", "given" or "learned" */
	size_t kv_tokens;         /* 0: not told; 1 to 10^9 */
	size_t max_running;       /* requests that a server runs at once; 0: not told */
};

/* "limits" of a model or of routing: what a client may ask for. */
struct config_client_limits {
	enum config_client_strategies {
		CONFIG_STRATEGIES_ALL,
		CONFIG_STRATEGIES_WAITING, /* only those that wait for room */
		CONFIG_STRATEGIES_NONE,    /* the model's own */
	} strategies;
	slo_nsec e2e_min, ttft_min, tpot_min; /* a tighter target of a client counts as this one */
	/* 1000; 0 to 1000000. A priority above it counts as this one, one below its negative as
	 * that. */
	size_t priority_max;
};

struct config_model {
	const char *name;
	const char *backend;  /* HAProxy's; models with the same one share its servers */
	const char **aliases; /* [alias_count], patterns of fnmatch() for other names of it */
	size_t alias_count;
	enum slo_strategy strategy;            /* its own, or else routing's */
	const struct token_weights *weights;   /* likewise: "tokens": {"weights": "avg"} */
	struct config_client_limits limits;    /* likewise, each */
	struct config_deployment *deployments; /* [deployment_count] */
	size_t deployment_count;               /* 1 to SLO_DEPLOYMENTS_MAX */
	struct goal promise;                   /* "slo"; GOAL_NONE: not set */
	double percentile;                     /* 99; of the requests that are to meet it */
};

/* profiles.redis: profiles come from there too. */
struct config_redis {
	struct redis_url url;    /* REDIS_URL_NONE: no Redis */
	slo_nsec refresh;        /* 10s; 100ms to 1d */
	bool trace;              /* false: write what is requested, for AIBrix's GPU optimizer */
	const char *server_name; /* in the server's certificate; NULL: the URL's host */
	/* PEM files for rediss://. */
	char *ca_file;   /* NULL: the system's authorities */
	char *cert_file; /* ours, with its chain; NULL: none */
	char *key_file;  /* its key; NULL: in cert_file */
};

/* The section "cluster": other agents that work for the same servers, who hear of our requests and
 * we of theirs, through Redis. */
struct config_cluster {
	struct config_redis redis; /* its url and files; url.kind REDIS_URL_NONE: no cluster */
	struct redis_sentinels sentinels; /* who know where it is; count 0: redis.url does */
	const char *name;                 /* ours; 1 to 64 of letters, digits and _ . - */
	const char *group;                /* "llm"; agents of other groups are not heard */
};

/* profiles.export: what was learned, as profiles. */
struct config_export {
	char *dir;      /* NULL: it is not written */
	slo_nsec every; /* 60s; 1s to 1d */
};

struct config_routing {
	enum slo_strategy strategy;               /* "slo" */
	enum slo_strategy fallback;               /* "least-request" or "random" */
	slo_nsec queue_timeout;                   /* 30s; 1ms to 1d; SCHED_HOLD_LEAST if "auto" */
	slo_nsec queue_timeout_most;              /* 0; if "auto": "queue_timeout_max", 30s to 1d */
	slo_nsec drain_timeout;                   /* 30s; 0 to 1d */
	size_t queue_limit;                       /* 100000 requests of one model; 0 to 10000000 */
	const struct config_model *default_model; /* of requests that name none; NULL: not set */
	enum slo_late late;                       /* "serve", "hold" or "reject" */
	enum slo_infeasible infeasible;           /* "reject" or "fallback" */
	enum slo_predict predict;                 /* "sample", "p50" or "p90" */
	enum slo_cold cold;                       /* "optimistic", "input" or "max" */
	uint64_t seed;                            /* 0: one is chosen at start; to 2^63 - 1 */
	const struct token_weights *weights;      /* "tokens": {"weights": "avg"} */
	struct config_client_limits limits;       /* {}; times 0 to 1d */
};

/* The section "limits". */
struct config_limits {
	size_t spop_connections; /* 20000; 1 to 1000000 */
	size_t spop_frame_size;  /* 16380 bytes; 256 to 1m */
	slo_nsec hello_timeout;  /* 2s until a peer's HELLO; 1ms to 1h */
	slo_nsec idle_timeout;   /* 5m; 0 (never) to 1d. HAProxy keeps idle connections in a pool */
	size_t frames_in_flight; /* 1024 NOTIFY of one connection; 1 to 1000000 */
	size_t output_buffer;    /* 256k of one connection; 4k to 64m, at least a frame + 4 bytes */
	size_t id_length;        /* 255 bytes of a unique-id; 1 to 255 */
	size_t end_line_length;  /* 8192 bytes; 128 to 65535 */
	size_t event_connections; /* 256; 1 to 100000 */
	size_t http_connections;  /* 64; 1 to 100000 */
	slo_nsec remember_ended;  /* 30s: what comes again so soon is a duplicate; 0 to 1h */
	size_t remember_limit;    /* 100000 ended requests; 0 to 10000000 */
	size_t foreign_requests;  /* 100000: open ones of other agents; 1 to 10000000 */
	slo_nsec lease_max_age;   /* 2h: a request without an end line is over then; 1ms to 30d */
	slo_nsec silence;         /* 30s without what HAProxy should say is odd; 100ms to 1h */
};

/* The section "snapshot": what outlives the process. */
struct config_snapshot {
	char *file;       /* NULL: none */
	slo_nsec every;   /* 2s; 100ms to 1h */
	slo_nsec max_age; /* 10m: an older one is ignored at start; 0 to 1d */
};

/* The section "recorder": what is decided, for slo-replay. */
struct config_recorder {
	char *file;      /* NULL: none */
	size_t max_size; /* 64m bytes until the next file; 64k to 1t */
	size_t keep;     /* 4 older files; 0 to 1000 */
};

/* A server whose metrics are elsewhere than the template says. */
struct config_engine_at {
	const char *server; /* BACKEND/SERVER */
	const char *url;
};

/* The section "engines": what the servers say of themselves. */
struct config_engines {
	bool set;
	const char *metrics; /* a URL with {address} and perhaps {port}; NULL: only of `at` */
	slo_nsec poll;       /* 2s; 100ms to 1h */
	struct config_engine_at *at; /* [count] */
	size_t count;
};

struct config {
	struct config_listen spop, events; /* at least one address each */
	struct config_listen http;         /* none or one */
	struct config_listen control;      /* unix sockets, or none */
	struct config_listen runtime_api;  /* of HAProxy's processes; tcp or unix, to connect to */
	slo_nsec haproxy_poll;             /* 1s; 50ms to 1h */
	slo_nsec haproxy_grace; /* 3s of a difference until the ledger follows; poll to 1h */
	char *profile_dir;      /* NULL: no profiles from files */
	struct config_export export;
	struct config_redis redis;
	struct config_engines engines;
	struct config_cluster cluster;
	struct config_routing routing;
	struct config_limits limits;
	struct config_snapshot snapshot;
	struct config_recorder recorder;
	size_t decisions;   /* "decisions": {"keep": 10000}; 0 (off) to 1000000 */
	bool log_decisions; /* false; a line for each at level info */
	bool log_json;      /* "format": "logfmt" or "json", of those */
	int log_level;      /* "info"; LOG_DEBUG, _INFO, _NOTICE, _WARNING or _ERR of <syslog.h> */
	struct config_model *models; /* [model_count] */
	size_t model_count;          /* >= 1 */
	struct json_t *dom;          /* owns the strings above that are const */
};

/* NULL: *err says why. It touches no file: `path` is only for messages and for relative paths. */
MUSTCHECK struct config *config_parse(const char *text, size_t len, const char *path,
                                      struct doc_error *err);
/* Whether HAProxy could call a proxy or server so: 1 to CONFIG_NAME_MAX bytes of letters, digits
 * and _ . : -. Names that come from outside pass the same rule as those of the configuration. */
bool config_is_name(struct slice name);
/* Whether the name of a server is a pattern. */
bool config_is_pattern(const char *server);
void config_free(struct config *c); /* NULL is accepted */

#endif

#include "io/haproxy/haproxy_api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/heal.h"
#include "io/base/clock.h"
#include "io/base/lookup.h"
#include "wire/haproxy_stat.h"

#define DEADLINE     5.0 /* seconds for one answer */
#define ANSWER_MAX   (64u << 20)
#define READ_SIZE    65536
#define COMMAND_MAX  4096
#define BACKENDS_MAX 32 /* asked for by name; of more, all of HAProxy's servers are asked for */
#define REMIND       (60 * SLO_NSEC_PER_SEC)

/* What tells one process from another. */
struct haproxy_pulse {
	uint64_t pid, uptime; /* seconds */
};

/* One address, and the question that it was asked. */
struct target {
	struct haproxy_api *api;
	char name[320];
	const struct listen_addr *where;
	struct sockaddr_storage addr;
	socklen_t addr_len;       /* 0: to be looked up */
	bool named;               /* its address may change */
	struct lookup *lookup;    /* running */
	int fd;                   /* -1: there is no open question */
	size_t sent, bytes;       /* of the command, of the answer */
	uint32_t unknown;         /* backends, in the present answer */
	uint32_t was_unknown;     /* in the last one that was whole */
	bool answered;            /* the last question that is not open */
	struct haproxy_pulse was; /* of the process that answered last; pid 0: none yet */
	struct haproxy_pulse is;  /* of the one that is answering */
	slo_nsec asked;           /* when the last question left that was answered; -1: none */
	slo_nsec silent_since;    /* while !answered */
	slo_nsec logged;
	uint64_t failures;
	ev_io io;
	ev_timer deadline;
	struct haproxy_stat parser;
};

struct haproxy_api {
	struct agent *agent;
	struct heal heal;
	ev_timer poll, settle;
	size_t open;  /* targets with an open question */
	bool settles; /* all have answered, their end lines are waited for */
	char command[COMMAND_MAX];
	size_t command_len;
	uint32_t commands;
	const char *backend[BACKENDS_MAX]; /* asked for, in this order; the roster's names */
	size_t backends;                   /* 0: all at once */
	size_t count;
	struct target *target;
	struct config_listen where; /* as the targets were made from */
	uint8_t buffer[READ_SIZE];
};

/* The command */

static bool add_backend(struct haproxy_api *api, const char *backend)
{
	size_t room = sizeof(api->command) - api->command_len;
	int n;

	backend = roster_backend_name(api->agent, backend);
	if (!backend) /* there was no memory for it: no server of it is known either */
		return true;
	for (size_t i = 0; i < api->backends; i++)
		if (api->backend[i] == backend)
			return true;
	if (api->backends == BACKENDS_MAX)
		return false;
	n = snprintf(api->command + api->command_len, room, ";show stat %s 4 -1", backend);
	if (n < 0 || (size_t)n + 1 >= room)
		return false;
	api->backend[api->backends++] = backend;
	api->command_len += (size_t)n;
	return true;
}

/* What to ask: the process, then the servers (4) of each backend. */
static void write_command(struct haproxy_api *api)
{
	static const char process[] = "show info", all[] = "show info;show stat -1 4 -1";
	const struct agent *a = api->agent;
	bool fits = true;

	api->backends = 0;
	api->command_len = sizeof(process) - 1;
	memcpy(api->command, process, sizeof(process));
	for (size_t i = 0; fits && i < a->model_count; i++)
		fits = add_backend(api, a->models[i]->conf->backend);
	if (!fits) {
		api->backends = 0;
		api->command_len = sizeof(all) - 1;
		memcpy(api->command, all, sizeof(all));
	}
	api->command[api->command_len++] = '\n';
	api->commands = 1 + (fits ? (uint32_t)api->backends : 1);
}

/* Answers */

static void conclude(struct haproxy_api *api, slo_nsec now)
{
	struct agent *a = api->agent;
	bool whole = true;

	for (size_t i = 0; i < api->count; i++) {
		const struct target *t = &api->target[i];

		whole &= t->answered || now - t->silent_since > HAPROXY_GONE;
	}
	roster_view_end(a, now, whole);
	heal_conclude(&api->heal, a->sched, now, whole);
}

static void on_settled(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct haproxy_api *api = w->data;

	api->settles = false;
	conclude(api, clock_nsec());
}

static void close_question(struct target *t)
{
	struct haproxy_api *api = t->api;
	struct ev_loop *loop = api->agent->loop;

	ev_io_stop(loop, &t->io);
	ev_timer_stop(loop, &t->deadline);
	lookup_cancel(t->lookup);
	t->lookup = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	if (--api->open > 0)
		return;
	api->settles = true;
	ev_now_update(loop);
	ev_timer_set(&api->settle, (double)HEAL_LINE_TIME / 1e9, 0.);
	ev_timer_start(loop, &api->settle);
}

static void failed(struct target *t, slo_nsec now, const char *why)
{
	struct log *log = t->api->agent->log;

	if (t->answered || t->logged < 0 || now - t->logged > REMIND) {
		log_limited(log, now, LOG_CAUSE_HAPROXY_SILENT, LOG_WARNING,
		            "haproxy: %s does not answer: %s; %s", t->name, why,
		            t->was.pid ? "its last view stays" : "it has told nothing yet");
		t->logged = now;
	}
	if (t->answered)
		t->silent_since = now;
	t->answered = false;
	t->failures++;
	if (t->named)
		t->addr_len = 0;
	close_question(t);
}

/* A process that started later than the one before has taken its place. */
static bool took_over(const struct target *t)
{
	return t->was.pid != 0 && (t->was.pid != t->is.pid || t->is.uptime < t->was.uptime);
}

static void succeeded(struct target *t, slo_nsec now)
{
	struct haproxy_api *api = t->api;
	struct log *log = api->agent->log;

	if (!t->answered)
		log_limited(log, now, LOG_CAUSE_HAPROXY_ANSWERS, LOG_NOTICE,
		            "haproxy: %s answers, process %" PRIu64, t->name, t->is.pid);
	if (took_over(t)) {
		log_limited(log, now, LOG_CAUSE_HAPROXY_PROCESS, LOG_NOTICE,
		            "haproxy: at %s process %" PRIu64 " took the place of %" PRIu64
		            ": what that one runs stays charged",
		            t->name, t->is.pid, t->was.pid);
		heal_process_changed(&api->heal, api->agent->sched, now);
	}
	t->was = t->is;
	t->was_unknown = t->unknown;
	t->answered = true;
	t->asked = api->heal.asked;
	close_question(t);
}

/* False: longer than any name that the configuration can have. */
static bool copy_name(char out[CONFIG_NAME_MAX + 1], struct slice name)
{
	if (name.len > CONFIG_NAME_MAX)
		return false;
	memcpy(out, name.p, name.len);
	out[name.len] = '\0';
	return true;
}

static void see_server(struct target *t, slo_nsec now, const struct haproxy_server *row)
{
	struct haproxy_api *api = t->api;
	char backend[CONFIG_NAME_MAX + 1], name[CONFIG_NAME_MAX + 1];
	uint32_t all = row->sessions + row->queued;
	struct server *server;

	if (!copy_name(backend, row->backend) || !copy_name(name, row->name))
		return;
	roster_server_seen(api->agent, now, backend, name, row->state);
	server = roster_find(api->agent, backend, name);
	if (server)
		heal_count(&api->heal, server, all < row->sessions ? UINT32_MAX : all);
}

/* Instead of a table: this process has no such backend, which is told once. Any other word makes
 * the answer worthless. */
static void see_text(struct target *t, slo_nsec now, struct slice text)
{
	static const char unknown[] = "No such proxy.";
	struct haproxy_api *api = t->api;
	uint32_t block = t->parser.blocks;

	if (block == 0)
		return; /* of "show info" */
	if (text.len == sizeof(unknown) - 1 && memcmp(text.p, unknown, text.len) == 0)
		t->unknown++;
	if (t->unknown > t->was_unknown)
		log_limited(api->agent->log, now, LOG_CAUSE_HAPROXY_BACKEND, LOG_WARNING,
		            "haproxy: %s does not know backend %s", t->name,
		            block <= api->backends ? api->backend[block - 1] : "-1");
}

static slo_err read_answer(struct target *t, slo_nsec now, struct slice in)
{
	struct haproxy_item item;
	slo_err err;

	while ((err = haproxy_stat_next(&t->parser, &in, &item)) == SLO_OK) {
		if (t->parser.blocks >= t->api->commands)
			return SLO_EPROTO; /* more answers than questions */
		switch (item.kind) {
		case HAPROXY_SERVER:
			see_server(t, now, &item.server);
			break;
		case HAPROXY_PID:
			t->is.pid = item.number;
			break;
		case HAPROXY_UPTIME:
			t->is.uptime = item.number;
			break;
		case HAPROXY_TEXT:
			see_text(t, now, item.text);
			break;
		}
	}
	return err;
}

static void ended(struct target *t, slo_nsec now)
{
	uint32_t commands = t->api->commands;

	if (!haproxy_stat_complete(&t->parser, commands) ||
	    t->parser.tables + t->unknown != commands - 1)
		failed(t, now, "the answer is not whole");
	else if (t->is.pid == 0)
		failed(t, now, "it does not tell its process");
	else
		succeeded(t, now);
}

static void on_readable(struct target *t, slo_nsec now)
{
	ssize_t n = recv(t->fd, t->api->buffer, READ_SIZE, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		failed(t, now, strerror(errno));
	} else if (n == 0) {
		ended(t, now);
	} else if ((t->bytes += (size_t)n) > ANSWER_MAX) {
		failed(t, now, "the answer is too long");
	} else if (read_answer(t, now, (struct slice){ t->api->buffer, (size_t)n }) != SLO_ESHORT) {
		failed(t, now, "the answer makes no sense");
	}
}

static void on_writable(struct target *t, slo_nsec now)
{
	struct haproxy_api *api = t->api;
	ssize_t n;
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err != 0) {
		failed(t, now, strerror(err));
		return;
	}
	n = send(t->fd, api->command + t->sent, api->command_len - t->sent, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		failed(t, now, strerror(errno));
		return;
	}
	t->sent += (size_t)n;
	if (t->sent < api->command_len)
		return;
	ev_io_stop(api->agent->loop, &t->io);
	ev_io_set(&t->io, t->fd, EV_READ);
	ev_io_start(api->agent->loop, &t->io);
}

static void on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct target *t = w->data;

	if (revents & EV_WRITE)
		on_writable(t, clock_nsec());
	else
		on_readable(t, clock_nsec());
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	failed(w->data, clock_nsec(), "no answer in time");
}

/* Questions */

static void connect_to(struct target *t, slo_nsec now)
{
	const struct sockaddr *addr = (const struct sockaddr *)&t->addr;

	t->fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A unix socket with a full backlog says EAGAIN and goes on trying nothing. */
	if (t->fd < 0 || (connect(t->fd, addr, t->addr_len) != 0 && errno != EINPROGRESS)) {
		failed(t, now, strerror(errno));
		return;
	}
	ev_io_set(&t->io, t->fd, EV_WRITE);
	ev_io_start(t->api->agent->loop, &t->io);
}

static void on_found(void *user, const struct lookup_addresses *found, const char *why)
{
	struct target *t = user;

	t->lookup = NULL;
	if (!found) {
		failed(t, clock_nsec(), why);
		return;
	}
	t->addr = found->sa[0];
	t->addr_len = found->len[0];
	connect_to(t, clock_nsec());
}

static void ask(struct target *t, slo_nsec now)
{
	struct ev_loop *loop = t->api->agent->loop;

	t->sent = t->bytes = 0;
	t->is = (struct haproxy_pulse){ 0, 0 };
	t->unknown = 0;
	haproxy_stat_init(&t->parser);
	ev_timer_set(&t->deadline, DEADLINE, 0.);
	ev_timer_start(loop, &t->deadline);
	if (t->addr_len > 0) {
		connect_to(t, now);
		return;
	}
	t->lookup = lookup_start(loop, t->where->host, t->where->port, on_found, t);
	if (!t->lookup)
		failed(t, now, "out of memory for its address");
}

static void on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct haproxy_api *api = w->data;
	slo_nsec now = clock_nsec();

	if (api->open > 0 || api->settles)
		return; /* HAProxy is slower than we ask */
	write_command(api);
	roster_view_begin(api->agent, now);
	heal_ask(&api->heal, api->agent->sched, now);
	api->open = api->count;
	for (size_t i = 0; i < api->count; i++)
		ask(&api->target[i], now);
}

/* Set-up */

/* What needs no name server. */
static void set_address(struct target *t, const struct listen_addr *where)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct lookup_addresses known;

	t->where = where;
	if (where->kind == LISTEN_UNIX) {
		snprintf(t->name, sizeof(t->name), "unix:%s", where->path);
		memcpy(un.sun_path, where->path, strlen(where->path) + 1);
		memcpy(&t->addr, &un, sizeof(un));
		t->addr_len = sizeof(un);
		return;
	}
	snprintf(t->name, sizeof(t->name), strchr(where->host, ':') ? "[%s]:%u" : "%s:%u",
	         where->host, where->port);
	t->named = !lookup_at_once(where->host, where->port, &known);
	if (!t->named) {
		t->addr = known.sa[0];
		t->addr_len = known.len[0];
	}
}

static void add_target(struct haproxy_api *api, const struct listen_addr *where, slo_nsec now)
{
	struct target *t = &api->target[api->count];

	t->api = api;
	t->fd = -1;
	t->asked = t->logged = -1;
	t->silent_since = now;
	set_address(t, where);
	ev_init(&t->io, on_ready);
	t->io.data = t;
	ev_init(&t->deadline, on_deadline);
	t->deadline.data = t;
	api->count++;
}

struct haproxy_api *haproxy_api_new(struct agent *a)
{
	struct haproxy_api *api = calloc(1, sizeof(*api));

	if (!api)
		return NULL;
	api->agent = a;
	ev_init(&api->settle, on_settled);
	ev_init(&api->poll, on_poll);
	api->settle.data = api->poll.data = api;
	return api;
}

/* Asks nobody any more; open questions get no answer. */
static void drop_targets(struct haproxy_api *api)
{
	struct ev_loop *loop = api->agent->loop;

	for (size_t i = 0; i < api->count; i++) {
		struct target *t = &api->target[i];

		ev_io_stop(loop, &t->io);
		ev_timer_stop(loop, &t->deadline);
		lookup_cancel(t->lookup);
		if (t->fd >= 0)
			close(t->fd);
	}
	ev_timer_stop(loop, &api->poll);
	ev_timer_stop(loop, &api->settle);
	free(api->target);
	api->target = NULL;
	api->where.count = api->count = api->open = 0;
	api->settles = false;
}

void haproxy_api_free(struct haproxy_api *api)
{
	if (!api)
		return;
	drop_targets(api);
	free(api);
}

static bool same_targets(const struct haproxy_api *api, const struct config_listen *where)
{
	if (api->where.count != where->count)
		return false;
	for (size_t i = 0; i < where->count; i++)
		if (!listen_addr_equal(&api->where.addr[i], &where->addr[i]))
			return false;
	return true;
}

/* Other processes are asked from now on: what the old ones said of sessions is void. */
static void change_targets(struct haproxy_api *api)
{
	const struct config *conf = api->agent->conf;
	slo_nsec now = clock_nsec();

	if (api->count > 0)
		heal_stop(api->agent->sched);
	drop_targets(api);
	if (conf->runtime_api.count == 0)
		return;
	api->target = calloc(conf->runtime_api.count, sizeof(*api->target));
	if (!api->target) {
		log_write(api->agent->log, LOG_ERR,
		          "haproxy: out of memory, HAProxy is not asked until a reload");
		return;
	}
	api->where = conf->runtime_api;
	heal_init(&api->heal, conf->haproxy_poll, conf->haproxy_grace, HAPROXY_GONE);
	for (size_t i = 0; i < api->where.count; i++)
		add_target(api, &api->where.addr[i], now);
	ev_timer_set(&api->poll, 0., (double)conf->haproxy_poll / 1e9);
	ev_timer_start(api->agent->loop, &api->poll);
}

void haproxy_api_configure(struct haproxy_api *api)
{
	const struct config *conf = api->agent->conf;

	if (!same_targets(api, &conf->runtime_api)) {
		change_targets(api);
	} else if (api->count > 0) {
		api->heal.poll = conf->haproxy_poll;
		api->heal.grace = conf->haproxy_grace;
		api->poll.repeat = (double)conf->haproxy_poll / 1e9;
		ev_timer_again(api->agent->loop, &api->poll);
	}
}

size_t haproxy_api_count(const struct haproxy_api *api)
{
	return api->count;
}

struct haproxy_api_state haproxy_api_state(const struct haproxy_api *api, size_t i, slo_nsec now)
{
	const struct target *t = &api->target[i];

	return (struct haproxy_api_state){
		.name = t->name,
		.answers = t->answered,
		.age = t->asked < 0 ? -1 : now - t->asked,
		.pid = t->was.pid,
		.failures = t->failures,
	};
}

/* ctl_private.h - what the files of the control socket share. */
#ifndef SLO_IO_CTL_CTL_PRIVATE_H
#define SLO_IO_CTL_CTL_PRIVATE_H

#include "io/ctl/ctl_server.h"
#include "io/ctl/ctl_words.h"
#include "io/ctl/table.h"
#include "io/http/render_part.h"

/* A listener: its level is that of who comes by it. */
struct ctl_listener {
	struct ctl_server *server;
	struct acceptor acceptor;
	enum config_level level;
};

TAILQ_HEAD(ctl_conns, ctl_conn);

struct ctl_server {
	struct agent *agent;
	struct http_sources sources;
	struct ctl_daemon daemon;
	struct ctl_listener listener[CONFIG_LISTEN_MAX];
	size_t listeners, count; /* listeners; connections */
	struct socket_peers peers;
	char user[64]; /* that the process runs as; to look it up may take long */
	struct timeout_list idle;
	struct ctl_conns working; /* the first gets the next slice */
	ev_timer turn;
};

/* One answer that is made and sent bit by bit. */
struct ctl_show {
	struct ctl_server *server;
	enum table_format format;
	struct table table;
	int model_width, deployment_width; /* of the longest name, bounded */
	const char *model;                 /* NULL: all */
	struct decision_query query;
	char text[CONFIG_NAME_MAX + 1]; /* what `model` points to */
};

struct ctl_conn {
	struct conn conn;
	struct ctl_server *server;
	enum config_level level;
	long user; /* at the other end; -1: not known */
	bool prompt;
	char line[CTL_LINE_MAX + 1];
	size_t len, at;           /* of the line; where its next command begins */
	bool has_line;            /* it is not worked off */
	bool stalled;             /* until what it was answered so far is read */
	struct render *render;    /* an answer that is being made */
	struct ctl_show *show;    /* what it is made from */
	struct render_text *text; /* an answer that is being sent */
	size_t piece, offset;     /* the next byte of it */
	bool working;             /* on server->working */
	TAILQ_ENTRY(ctl_conn) link;
};
_Static_assert(offsetof(struct ctl_conn, conn) == 0, "a struct conn is cast to it");

/* ctl_server.c */

/* The whole answer, at most some kilobytes. */
void ctl_say(struct ctl_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The answer is the text of these parts, made from *show, whose server is set. */
void ctl_render(struct ctl_conn *c, const struct render_part *parts, const struct ctl_show *show);

/* ctl_command.c */

/* Does one command; its answer may come later. False: the connection is to end. */
bool ctl_run(struct ctl_conn *c, slo_nsec now, const struct ctl_words *w);

/* Of words behind the command: what the command wants. */
typedef void ctl_action(struct ctl_conn *c, slo_nsec now, char **word, size_t words);

ctl_action ctl_show, ctl_explain, ctl_doctor;                     /* ctl_show.c */
ctl_action ctl_set, ctl_clear, ctl_export, ctl_reload, ctl_drain; /* ctl_set.c */

#endif

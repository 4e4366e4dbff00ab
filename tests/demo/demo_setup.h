/* demo_setup.h - flags, listening sockets and the port file of the demo server. */
#ifndef DEMO_SETUP_H
#define DEMO_SETUP_H

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine.h"

#define DEMO_MAX_SERVERS 64

struct demo_server_conf {
	const char *name;
	const char *gpu;
	uint16_t port; /* 0: the kernel chooses */
};

/* The strings are argv's. */
struct demo_setup {
	struct engine_conf engine; /* all but the GPU */
	struct demo_server_conf servers[DEMO_MAX_SERVERS];
	size_t count;
	const char *port_file; /* NULL: standard output */
};

/* NAME:GPU:PORT; cuts text into its parts. */
static inline bool demo_parse_server(struct demo_setup *s, char *text)
{
	char *gpu = strchr(text, ':'), *port, *end;
	unsigned long v;

	if (s->count == DEMO_MAX_SERVERS || gpu == NULL || gpu == text)
		return false;
	*gpu++ = '\0';
	port = strchr(gpu, ':');
	if (port == NULL || port[1] < '0' || port[1] > '9')
		return false;
	*port++ = '\0';
	v = strtoul(port, &end, 10);
	if (*end != '\0' || v > UINT16_MAX)
		return false;
	s->servers[s->count++] = (struct demo_server_conf){ text, gpu, (uint16_t)v };
	return true;
}

static inline bool demo_parse_number(const char *text, double most, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v > 0 && v <= most))
		return false;
	*out = v;
	return true;
}

static inline bool demo_parse_count(const char *text, uint32_t *out)
{
	double v = 0;

	if (!demo_parse_number(text, 1e6, &v) || v < 1)
		return false;
	*out = (uint32_t)v;
	return true;
}

static inline bool demo_parse_option(struct demo_setup *s, int opt, char *arg)
{
	switch (opt) {
	case 's':
		return demo_parse_server(s, arg);
	case 'm':
		s->engine.model = arg;
		return engine_model_find(arg) != NULL;
	case 'x':
		return demo_parse_number(arg, 1e9, &s->engine.speed);
	case 'n':
		return demo_parse_count(arg, &s->engine.max_num_seqs);
	case 't':
		return demo_parse_count(arg, &s->engine.token_budget);
	case 'o':
		s->engine.mode =
		    strcmp(arg, "chunked") == 0 ? ENGINE_CHUNKED : ENGINE_PREFILL_FIRST;
		return s->engine.mode == ENGINE_CHUNKED || strcmp(arg, "prefill") == 0;
	case 'p':
		s->port_file = arg;
		return true;
	default:
		return false;
	}
}

static inline void demo_usage(void)
{
	fputs("usage: llm_server --server NAME:GPU:PORT [--server ...]\n"
	      "  [--model NAME] [--speed 20] [--max-num-seqs 256]\n"
	      "  [--mode prefill|chunked] [--token-budget N] [--port-file FILE]\n"
	      "models:",
	      stderr);
	for (const struct engine_model *m = engine_models; m->name != NULL; m++)
		fprintf(stderr, " %s", m->name);
	fputs("\nGPUs:", stderr);
	for (const struct engine_gpu *g = engine_gpus; g->name != NULL; g++)
		fprintf(stderr, " %s", g->name);
	fputc('\n', stderr);
}

/* False after telling the user. */
static inline bool demo_setup_parse(struct demo_setup *s, int argc, char **argv)
{
	static const struct option options[] = {
		{ "server", required_argument, NULL, 's' },
		{ "model", required_argument, NULL, 'm' },
		{ "speed", required_argument, NULL, 'x' },
		{ "max-num-seqs", required_argument, NULL, 'n' },
		{ "token-budget", required_argument, NULL, 't' },
		{ "mode", required_argument, NULL, 'o' },
		{ "port-file", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	bool good = true;
	int opt;

	*s = (struct demo_setup){ .engine = { .model = "deepseek-coder-6.7b", .speed = 20 } };
	while (good && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		good = demo_parse_option(s, opt, optarg);
	good = good && s->count > 0 && optind == argc;
	if (!good)
		demo_usage();
	return good;
}

/* Every client is a descriptor: take as many as we may. */
static inline void demo_raise_descriptor_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

/* A listening socket on loopback, its port in *port; or -1 with errno. */
static inline int demo_listen(uint16_t *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_port = htons(*port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(sa);
	int one = 1, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	*port = ntohs(sa.sin_port);
	return fd;
}

static inline bool demo_print_ports(const struct demo_setup *s, FILE *out)
{
	for (size_t i = 0; i < s->count; i++)
		fprintf(out, "%s %u\n", s->servers[i].name, s->servers[i].port);
	return fflush(out) == 0;
}

/* Renamed when complete: who finds the file finds every server listening. */
static inline bool demo_write_ports(const struct demo_setup *s)
{
	char temp[4096];
	bool good;
	FILE *f;
	int n;

	if (s->port_file == NULL)
		return demo_print_ports(s, stdout);
	n = snprintf(temp, sizeof(temp), "%s.tmp", s->port_file);
	if (n < 0 || (size_t)n >= sizeof(temp))
		return false;
	f = fopen(temp, "w");
	if (f == NULL)
		return false;
	good = demo_print_ports(s, f);
	return fclose(f) == 0 && good && rename(temp, s->port_file) == 0;
}

#endif

/* slo-ctl: one command for the control socket of slo-spoa, and its answer. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET       "/run/slo-spoa/ctl.sock"
#define LINE_MAX     4096  /* bytes that the agent takes */
#define SILENCE_MAX  30000 /* ms without a byte */
#define HEAD_LEN     40    /* bytes that tell whose answer it is, and what it says */
#define EXIT_REFUSED 1     /* the agent says why */
#define EXIT_USAGE   2     /* wrong options, or nobody there */
#define EXIT_WRONG   3     /* doctor has something to say */

static const char usage[] =
    "Usage: slo-ctl [-s SOCKET] COMMAND...\n"
    "       slo-ctl -v | -h\n"
    "Tells a running slo-spoa one command and prints the answer. slo-ctl help lists the commands,\n"
    "the manual slo-ctl(1) explains them.\n"
    "  -s, --socket PATH  its control socket (" SOCKET ")\n"
    "  -v, --version      print the version\n"
    "  -h, --help         print this help\n"
    "Exit status: 0, 1 refused, 2 nobody answers or wrong options, 3 doctor found something.\n";

static const struct option options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int complain(const char *path, const char *what)
{
	fprintf(stderr, "slo-ctl: %s: %s\n", path, what);
	return EXIT_USAGE;
}

/* The words as one line; the agent takes a blank, a ';' or a backslash in a word with a backslash
 * before it. A word alone is a whole line already, as for HAProxy's socket. False: too long, or it
 * has a byte that no line can have. */
static bool make_line(char *const *word, int words, char line[LINE_MAX + 1])
{
	size_t len = 0;

	for (int i = 0; i < words; i++) {
		if (len + 1 > LINE_MAX) /* what stands between words is of the line, too */
			return false;
		for (const char *p = word[i]; *p; p++) {
			if (*p < ' ' || *p == 0x7f || len + 3 > LINE_MAX)
				return false;
			if (words > 1 && strchr(" ;\\", *p))
				line[len++] = '\\';
			line[len++] = *p;
		}
		line[len++] = i + 1 < words ? ' ' : '\n';
	}
	line[len] = '\0';
	return true;
}

static int open_socket(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
	} else {
		memcpy(un.sun_path, path, strlen(path) + 1);
		if (fd >= 0 && connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
			return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_all(int fd, const char *p)
{
	size_t len = strlen(p);

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* What the beginning of an answer tells. */
struct answer {
	char head[HEAD_LEN + 1];
	size_t len;      /* of head */
	size_t newlines; /* held back: the last one only ends the answer */
	bool any;
	bool foreign; /* another program answers; it is not printed */
};

static bool begins(const struct answer *a, const char *text)
{
	return strncmp(a->head, text, strlen(text)) == 0;
}

/* HAProxy's stats socket takes lines as ours does, and says this to a command of ours. */
static bool is_haproxys(const struct answer *a)
{
	return begins(a, "Unknown command") || begins(a, "The following commands are valid");
}

static void print(struct answer *a, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\n') {
			a->newlines++;
			continue;
		}
		for (; a->newlines > 0; a->newlines--)
			putchar('\n');
		putchar(p[i]);
		a->any = true;
	}
}

/* The head is whole: it is printed if it is ours. */
static void print_head(struct answer *a)
{
	a->foreign = is_haproxys(a);
	if (!a->foreign)
		print(a, a->head, a->len);
}

/* The next bytes of an answer: first they fill the head, which is printed when it is whole. */
static void take(struct answer *a, const char *p, size_t len)
{
	size_t room = HEAD_LEN - a->len, n = len < room ? len : room;

	memcpy(a->head + a->len, p, n);
	a->len += n;
	if (n > 0 && a->len == HEAD_LEN)
		print_head(a);
	if (!a->foreign)
		print(a, p + n, len - n);
}

/* Until the agent closes. False: errno says what went wrong. */
static bool take_all(int fd, struct answer *a)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char data[65536];

	for (;;) {
		int ready = poll(&p, 1, SILENCE_MAX);
		ssize_t n;

		if (ready == 0)
			errno = ETIMEDOUT;
		if (ready <= 0 && (ready == 0 || errno != EINTR))
			return false;
		n = ready > 0 ? recv(fd, data, sizeof(data), 0) : -1;
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			take(a, data, (size_t)n);
	}
}

/* What came is printed even if no more does. False: errno says what went wrong. */
static bool print_answer(int fd, struct answer *a)
{
	bool ok = take_all(fd, a);
	int why = errno;

	if (a->len < HEAD_LEN)
		print_head(a);
	if (a->any)
		putchar('\n');
	if (fflush(stdout) != 0)
		return false;
	errno = why;
	return ok;
}

static int status_of(const struct answer *a, const char *command)
{
	if (begins(a, "error: "))
		return EXIT_REFUSED;
	if (strcmp(command, "doctor") != 0)
		return EXIT_SUCCESS;
	return begins(a, "Nothing is wrong.") || begins(a, "[]") || a->head[0] == '\n'
	           ? EXIT_SUCCESS
	           : EXIT_WRONG;
}

static int no_answer(const char *path, int why)
{
	char text[256];

	if (why != ENOENT && why != ECONNREFUSED && why != ENOTDIR)
		return complain(path, strerror(why));
	snprintf(text, sizeof(text),
	         "%s; does the agent run, and does its control.listen name this path? Another one: "
	         "-s PATH",
	         strerror(why));
	return complain(path, text);
}

static int run(const char *path, char *const *word, int words)
{
	struct answer answer = { .len = 0 };
	char line[LINE_MAX + 1];
	int fd;
	bool ok;

	if (!make_line(word, words, line))
		return complain(word[0],
		                "the command is too long, or has a byte that no command has");
	fd = open_socket(path);
	if (fd < 0)
		return no_answer(path, errno);
	ok = send_all(fd, line) && print_answer(fd, &answer);
	close(fd);
	if (!ok)
		return complain(path, strerror(errno));
	if (answer.len == 0)
		return complain(path, "the agent closed the connection");
	if (answer.foreign)
		return complain(path, "this socket is no slo-spoa's: HAProxy answers here, and "
		                      "does not know the command; control.listen in the "
		                      "agent's configuration names the right one: -s PATH");
	return status_of(&answer, word[0]);
}

int main(int argc, char **argv)
{
	const char *path = SOCKET;
	int opt;

	/* "+": what follows the command is the command's. */
	while ((opt = getopt_long(argc, argv, "+s:vh", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			path = optarg;
			break;
		case 'v':
			printf("slo-ctl %s\n", SLO_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		fprintf(stderr, "slo-ctl: no command was given, such as: doctor\n%s", usage);
		return EXIT_USAGE;
	}
	return run(path, argv + optind, argc - optind);
}

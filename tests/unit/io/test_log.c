/* The log against readers that stop, leave or come back, and its limits by cause. stderr is
 * replaced by what each test needs while it runs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/base/log.h"

#define SEC SLO_NSEC_PER_SEC

/* Our stderr, a stand-in for it, and its other end. */
struct place {
	int saved, other;
	struct log log;
};

static void stand_in(struct place *p, int fd, int other)
{
	p->saved = dup(STDERR_FILENO);
	p->other = other;
	assert_true(p->saved >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
	log_init(&p->log, LOG_INFO, NULL);
}

static void restore(struct place *p)
{
	log_fini(&p->log);
	dup2(p->saved, STDERR_FILENO);
	close(p->saved);
	if (p->other >= 0)
		close(p->other);
}

static void start_pipe(struct place *p)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	stand_in(p, fds[1], fds[0]);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
}

/* All that can be read now; one block, valid until the next call. */
static const char *text_of(int fd)
{
	static char text[1 << 20];
	size_t used = 0;
	ssize_t n;

	while ((n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	return text;
}

static size_t lines_of(const char *text)
{
	size_t n = 0;

	while ((text = strchr(text, '\n'))) {
		n++;
		text++;
	}
	return n;
}

/* The lines that a stopped reader leaves room for; then some are lost. */
static size_t fill(struct log *l)
{
	size_t n = 0;

	for (; l->lost == 0 && n < 100000; n++)
		log_write(l, LOG_INFO, "line %zu", n);
	assert_true(l->lost == 1);
	for (int i = 0; i < 6; i++)
		log_write(l, LOG_INFO, "lost too");
	assert_true(l->lost == 7);
	return n - 1;
}

static void a_stopped_reader_stops_nobody(void **state)
{
	struct place p;
	size_t written;
	const char *text;

	(void)state;
	start_pipe(&p);
	written = fill(&p.log);
	text = text_of(p.other);
	assert_int_equal(lines_of(text), written);
	assert_null(strstr(text, "lost too"));
	log_write(&p.log, LOG_INFO, "back");
	text = text_of(p.other);
	assert_int_equal(lines_of(text), 2);
	assert_non_null(strstr(text, "[WARNING] ("));
	assert_non_null(strstr(text, " : 7 log lines could not be written\n[INFO] ("));
	assert_non_null(strstr(text, " : back\n"));
	assert_true(p.log.lost == 0 && p.log.lost_total == 7);
	restore(&p);
}

/* Whoever started us may write to the same pipe, and expects to wait. */
static void stderr_of_others_stays_as_it_was(void **state)
{
	struct place p;

	(void)state;
	start_pipe(&p);
	fill(&p.log);
	assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK);
	restore(&p);
}

/* A pipe that cannot be opened again, as after a change of user. */
static void without_a_descriptor_of_its_own_it_asks_first(void **state)
{
	struct place p;

	(void)state;
	start_pipe(&p);
	assert_true(p.log.own_fd);
	close(p.log.fd);
	p.log.own_fd = false;
	p.log.fd = STDERR_FILENO;
	p.log.may_block = true;
	fill(&p.log);
	text_of(p.other);
	log_write(&p.log, LOG_INFO, "back");
	assert_int_equal(lines_of(text_of(p.other)), 2);
	restore(&p);
}

static void a_socket_that_nobody_reads_stops_nobody(void **state)
{
	struct place p;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stand_in(&p, fds[0], fds[1]);
	fill(&p.log);
	assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	text_of(p.other);
	log_write(&p.log, LOG_INFO, "back");
	assert_int_equal(lines_of(text_of(p.other)), 2);
	restore(&p);
}

/* What a stream took of a line is followed by a line of its own. */
static void a_line_that_was_cut_does_not_spoil_the_next(void **state)
{
	struct place p;

	(void)state;
	start_pipe(&p);
	p.log.torn = true;
	log_write(&p.log, LOG_INFO, "whole");
	assert_int_equal(*text_of(p.other), '\n');
	log_write(&p.log, LOG_INFO, "whole");
	assert_int_equal(*text_of(p.other), '[');
	restore(&p);
}

static void a_reader_that_left_costs_only_lines(void **state)
{
	struct place p;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	start_pipe(&p);
	close(p.other);
	p.other = -1;
	log_write(&p.log, LOG_INFO, "to nobody");
	assert_true(p.log.lost == 1);
	restore(&p);
}

static void a_file_gets_every_line(void **state)
{
	char path[256];
	const char *tmp = getenv("TMPDIR");
	struct place p;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/test_log.XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	stand_in(&p, dup(fd), fd);
	unlink(path);
	for (int i = 0; i < 2000; i++)
		log_write(&p.log, LOG_INFO, "line %d of many, long enough to fill a pipe", i);
	assert_true(p.log.lost == 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(lines_of(text_of(fd)), 2000);
	restore(&p);
}

/* syslog */

static int bind_syslog(struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)un, sizeof(*un)), 0);
	return fd;
}

static void syslog_gets_datagrams_and_may_start_anew(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");
	char dir[90], text[256];
	struct log l;
	ssize_t n;
	int fd;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/test_log.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/log", dir);
	log_init(&l, LOG_INFO, un.sun_path); /* nobody there yet */
	log_write(&l, LOG_INFO, "too early");
	assert_true(l.lost == 1);
	fd = bind_syslog(&un);
	errno = EAGAIN; /* of something else */
	log_write(&l, LOG_WARNING, "warm");
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "]: 1 log lines could not be written"));
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(strncmp(text, "<28>", 4), 0); /* daemon, warning */
	assert_int_equal(strncmp(text + 4 + 15, " slo-spoa[", 10), 0);
	assert_string_equal(strchr(text, ']'), "]: warm");

	close(fd);
	unlink(un.sun_path);
	fd = bind_syslog(&un);
	log_write(&l, LOG_INFO, "again");
	assert_true(l.lost == 0);
	assert_true(recv(fd, text, sizeof(text), 0) > 0);
	for (int i = 0; i < 10000 && l.lost == 0; i++) /* it does not read */
		log_write(&l, LOG_INFO, "line %d", i);
	assert_true(l.lost == 1);
	log_fini(&l);
	close(fd);
	unlink(un.sun_path);
	rmdir(dir);
}

/* Limits */

static void each_cause_passes_a_burst_and_tells_the_rest(void **state)
{
	struct place p;
	const char *text;

	(void)state;
	start_pipe(&p);
	for (int i = 0; i < LOG_BURST + 5; i++)
		log_limited(&p.log, i, LOG_CAUSE_SPOP_BROKEN, LOG_WARNING, "broken");
	log_limited(&p.log, 20, LOG_CAUSE_SPOP_PEER, LOG_INFO, "another");
	text = text_of(p.other);
	assert_int_equal(lines_of(text), LOG_BURST + 1);
	assert_non_null(strstr(text, "another"));
	log_tell(&p.log, LOG_WINDOW - 1);
	assert_string_equal(text_of(p.other), "");
	log_tell(&p.log, LOG_WINDOW);
	text = text_of(p.other);
	assert_int_equal(lines_of(text), 1);
	assert_non_null(strstr(text, "[WARNING] ("));
	assert_non_null(strstr(text, ": 5 lines about spop connections that were dropped were left "
	                             "out\n"));
	log_tell(&p.log, 2 * LOG_WINDOW);
	assert_string_equal(text_of(p.other), "");
	restore(&p);
}

/* The text of a cause once lacked: "2 lines about (null) were left out". */
static void every_cause_says_what_it_is_about(void **state)
{
	(void)state;
	for (int cause = 0; cause < LOG_CAUSES; cause++) {
		struct place p;
		const char *text, *about;

		start_pipe(&p);
		for (int i = 0; i < LOG_BURST + 2; i++)
			log_limited(&p.log, 0, (enum log_cause)cause, LOG_INFO, "line");
		text_of(p.other);
		log_tell(&p.log, LOG_WINDOW);
		text = text_of(p.other);
		about = strstr(text, ": 2 lines about ");
		assert_non_null(about);
		assert_non_null(strstr(about, " were left out\n"));
		assert_null(strstr(about, "(null)"));
		assert_true(about[strlen(": 2 lines about ")] >= 'A');
		restore(&p);
	}
}

static void a_new_window_passes_a_burst_again(void **state)
{
	struct place p;
	const char *text;

	(void)state;
	start_pipe(&p);
	for (int i = 0; i < LOG_BURST + 3; i++)
		log_limited(&p.log, 5 * SEC, LOG_CAUSE_MEMORY, LOG_ERR, "first");
	text_of(p.other);
	for (int i = 0; i < LOG_BURST + 1; i++)
		log_limited(&p.log, 5 * SEC + LOG_WINDOW, LOG_CAUSE_MEMORY, LOG_ERR, "second");
	text = text_of(p.other);
	assert_int_equal(lines_of(text), 1 + LOG_BURST);
	assert_non_null(strstr(text, ": 3 lines about memory running out were left out\n"));
	restore(&p);
}

/* A line below the level is not there at all: it uses up nothing. */
static void what_is_not_wanted_does_not_count(void **state)
{
	struct place p;

	(void)state;
	start_pipe(&p);
	for (int i = 0; i < 2 * LOG_BURST; i++)
		log_limited(&p.log, 0, LOG_CAUSE_HTTP, LOG_DEBUG, "no");
	log_limited(&p.log, 0, LOG_CAUSE_HTTP, LOG_INFO, "yes");
	assert_int_equal(lines_of(text_of(p.other)), 1);
	log_tell(&p.log, LOG_WINDOW);
	assert_string_equal(text_of(p.other), "");
	restore(&p);
}

static void the_end_tells_what_was_left_out(void **state)
{
	struct place p;
	int other;

	(void)state;
	start_pipe(&p);
	other = dup(p.other);
	for (int i = 0; i < LOG_BURST + 1; i++)
		log_limited(&p.log, 0, LOG_CAUSE_REQUEST, LOG_INFO, "in use");
	text_of(other);
	restore(&p);
	assert_non_null(strstr(text_of(other), ": 1 lines about unique-ids in use were left out"));
	close(other);
}

static void long_and_wild_lines_are_tamed(void **state)
{
	struct place p;
	const char *text;

	(void)state;
	start_pipe(&p);
	log_write(&p.log, LOG_INFO, "%2000d", 1);
	assert_true(strlen(text_of(p.other)) < 1100);
	log_write(&p.log, LOG_INFO, "a\nb\x1b[2J\x7f\xff");
	text = text_of(p.other);
	assert_int_equal(lines_of(text), 1);
	assert_string_equal(strstr(text, " : "), " : a?b?[2J??\n");
	restore(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stopped_reader_stops_nobody),
		cmocka_unit_test(stderr_of_others_stays_as_it_was),
		cmocka_unit_test(without_a_descriptor_of_its_own_it_asks_first),
		cmocka_unit_test(a_socket_that_nobody_reads_stops_nobody),
		cmocka_unit_test(a_line_that_was_cut_does_not_spoil_the_next),
		cmocka_unit_test(a_reader_that_left_costs_only_lines),
		cmocka_unit_test(a_file_gets_every_line),
		cmocka_unit_test(syslog_gets_datagrams_and_may_start_anew),
		cmocka_unit_test(each_cause_passes_a_burst_and_tells_the_rest),
		cmocka_unit_test(every_cause_says_what_it_is_about),
		cmocka_unit_test(a_new_window_passes_a_burst_again),
		cmocka_unit_test(what_is_not_wanted_does_not_count),
		cmocka_unit_test(the_end_tells_what_was_left_out),
		cmocka_unit_test(long_and_wild_lines_are_tamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

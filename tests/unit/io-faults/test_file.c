/* Whole texts to a file whose writes are cut short or fail at every byte, and from one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failing_io.h"
#include "io/base/file.h"

static const char text[] = "all of it";
static const struct slice whole = { (const uint8_t *)text, sizeof(text) };

/* Writes the text while one byte of it is hard; how much of it is there then. */
static size_t written(enum fault_kind kind, size_t at, bool *ok, int *why)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint8_t got[sizeof(text) + 1];
	ssize_t n;

	assert_true(fd >= 0);
	fault_arm(kind, true, at);
	fault.fd = fd;
	errno = 0;
	*ok = file_write_all(fd, whole);
	*why = errno;
	fault_disarm();
	n = pread(fd, got, sizeof(got), 0);
	close(fd);
	assert_in_range(n, 0, sizeof(text));
	assert_memory_equal(got, text, (size_t)n);
	return (size_t)n;
}

static void writes_that_are_cut_or_interrupted_are_gone_on_with(void **state)
{
	const enum fault_kind kinds[] = { FAULT_SHORT, FAULT_BYTES, FAULT_EINTR };
	bool ok;
	int why;

	(void)state;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (size_t at = 0; at <= sizeof(text); at++) {
			assert_int_equal(written(kinds[k], at, &ok, &why), sizeof(text));
			assert_true(ok);
		}
	}
}

static void a_write_that_fails_says_why(void **state)
{
	bool ok;
	int why;

	(void)state;
	for (size_t at = 0; at < sizeof(text); at++) {
		assert_int_equal(written(FAULT_RESET, at, &ok, &why), at);
		assert_false(ok);
		assert_int_equal(why, ECONNRESET);
	}
}

static void a_write_that_does_nothing_is_an_error(void **state)
{
	bool ok;
	int why;

	(void)state;
	assert_int_equal(written(FAULT_END, 3, &ok, &why), 3);
	assert_false(ok);
	assert_int_equal(why, EIO);
}

static void nothing_to_write_needs_no_file(void **state)
{
	(void)state;
	assert_true(file_write_all(-1, (struct slice){ 0 }));
}

static void what_was_written_is_read_up_to_the_most_that_may_be(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	char path[32], *got;
	size_t len = 0;

	(void)state;
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(file_write_all(fd, whole));
	got = file_read(path, sizeof(text), &len);
	assert_non_null(got);
	assert_int_equal(len, sizeof(text));
	assert_memory_equal(got, text, len);
	free(got);
	assert_null(file_read(path, sizeof(text) - 1, &len));
	assert_int_equal(errno, EFBIG);
	close(fd);
	assert_null(file_read(path, sizeof(text), &len));
	assert_int_equal(errno, ENOENT);
}

static void what_others_may_have_written_is_not_read(void **state)
{
	char path[] = "/tmp/test_file_XXXXXX", *got;
	int fd = mkstemp(path);
	size_t len = 0;

	(void)state;
	assert_true(fd >= 0 && file_write_all(fd, whole));
	got = file_read_own(path, sizeof(text), &len);
	assert_non_null(got);
	free(got);
	for (mode_t bit = 02; bit <= 020; bit *= 8) { /* others', the group's right to write */
		assert_int_equal(fchmod(fd, 0600 | bit), 0);
		assert_null(file_read_own(path, sizeof(text), &len));
		assert_int_equal(errno, FILE_FOREIGN);
		got = file_read(path, sizeof(text), &len);
		assert_non_null(got);
		free(got);
	}
	assert_int_equal(fchmod(fd, 0600), 0);
	if (fchown(fd, 65534, (gid_t)-1) == 0) { /* as root only */
		assert_null(file_read_own(path, sizeof(text), &len));
		assert_int_equal(errno, FILE_FOREIGN);
	}
	close(fd);
	unlink(path);
}

static void a_file_takes_the_place_of_another_in_any_folder(void **state)
{
	char dir[] = "/tmp/test_file_XXXXXX", path[64], new[64], *got;
	size_t len = 0;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	snprintf(new, sizeof(new), "%s/f.new", dir);
	fd = file_begin(path, new);
	assert_true(fd >= 0 && file_write_all(fd, whole));
	close(fd);
	assert_true(file_replace(new, path));
	got = file_read(path, sizeof(text), &len);
	assert_non_null(got);
	free(got);
	assert_false(file_replace(new, path));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(chdir(dir), 0);
	assert_true(file_replace("f", "g"));
	assert_int_equal(chdir("/"), 0);
	snprintf(path, sizeof(path), "%s/g", dir);
	assert_int_equal(unlink(path), 0);
	rmdir(dir);
}

/* After a power cut a folder that was not synced may still have the old file, or none. */
static void a_new_name_is_kept_when_the_power_fails(void **state)
{
	char dir[] = "/tmp/test_file_XXXXXX", path[64], new[64];
	static const int errors[] = { 0, EIO, EINVAL };

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	snprintf(new, sizeof(new), "%s/f.new", dir);
	for (size_t i = 0; i < 3; i++) {
		close(file_begin(path, new));
		kept_forget();
		folder_error = errors[i];
		errno = 0;
		/* Some file systems have no folder to sync: that is no failure. */
		assert_int_equal(file_replace(new, path), errors[i] != EIO);
		assert_string_equal(kept, errors[i] ? "r" : "rd");
		if (errors[i] == EIO)
			assert_int_equal(errno, EIO);
	}
	kept_forget();
	unlink(path);
	rmdir(dir);
}

static void a_new_file_takes_no_place_but_that_of_a_file(void **state)
{
	char dir[] = "/tmp/test_file_XXXXXX";
	char path[64], new[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	snprintf(new, sizeof(new), "%s/f.new", dir);
	for (int i = 0; i < 2; i++) { /* where there is none, and one */
		int fd;

		assert_int_equal(mkfifo(new, 0600), 0); /* without a reader */
		fd = file_begin(path, new);
		assert_true(fd >= 0 && file_write_all(fd, whole));
		close(fd);
		assert_int_equal(rename(new, path), 0);
	}
	unlink(path);
	assert_int_equal(symlink("/dev/null", path), 0); /* only the link would go */
	close(file_begin(path, new));
	assert_int_equal(unlink(new), 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_begin(path, new), -1);
	assert_int_equal(errno, FILE_IRREGULAR);
	assert_string_equal(file_why(errno), "not a regular file");
	assert_int_equal(file_begin(dir, new), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(access(new, F_OK), -1);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_that_are_cut_or_interrupted_are_gone_on_with),
		cmocka_unit_test(a_write_that_fails_says_why),
		cmocka_unit_test(a_write_that_does_nothing_is_an_error),
		cmocka_unit_test(nothing_to_write_needs_no_file),
		cmocka_unit_test(what_was_written_is_read_up_to_the_most_that_may_be),
		cmocka_unit_test(what_others_may_have_written_is_not_read),
		cmocka_unit_test(a_file_takes_the_place_of_another_in_any_folder),
		cmocka_unit_test(a_new_name_is_kept_when_the_power_fails),
		cmocka_unit_test(a_new_file_takes_no_place_but_that_of_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

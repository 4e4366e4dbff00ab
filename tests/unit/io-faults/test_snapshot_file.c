/* A snapshot outlives a power cut: the file is synced before it takes the place of the old one, its
 * folder afterwards. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "failing_io.h"
#include "inproc.h"

static void begin(struct inproc *p)
{
	inproc_open(p);
	inproc_write_conf(p, "", "", ",\"snapshot\":{\"file\":\"state\",\"every\":\"1h\"}");
	inproc_start(p);
	kept_forget();
}

static void a_snapshot_is_synced_and_so_is_its_folder(void **state)
{
	struct inproc p;

	(void)state;
	begin(&p);
	inproc_stop(&p); /* writes it */
	assert_string_equal(kept, "frd");
	inproc_remove(&p, "state");
	inproc_close(&p);
}

static void a_folder_that_cannot_be_synced_is_told(void **state)
{
	struct inproc p;

	(void)state;
	begin(&p);
	folder_error = EIO;
	inproc_stop(&p);
	assert_string_equal(kept, "fr");
	assert_true(inproc_logged(&p, "state cannot be written"));
	kept_forget();
	inproc_remove(&p, "state");
	inproc_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_is_synced_and_so_is_its_folder),
		cmocka_unit_test(a_folder_that_cannot_be_synced_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

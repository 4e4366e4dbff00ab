/* A part of the servers in /state.json, and a fleet that changes while it is written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "inproc.h"
#include "io/http/render.h"

#define CONF                                                                                \
	"{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]}," \
	"\"haproxy\":{\"runtime_api\":[\"unix:stats\"]},"                                   \
	"\"models\":{\"m\":{\"backend\":\"b\",\"deployments\":{\"d\":{\"servers\":[\"s*\"]}}}}}"

struct fixture {
	struct inproc p;
	struct http_sources sources;
};

/* HAProxy's whole view: these servers are up. */
static void view(struct fixture *f, const char *const *names)
{
	struct agent *a = f->p.agent;

	roster_view_begin(a, inproc_clock);
	for (; *names; names++)
		roster_server_seen(a, inproc_clock, "b", *names, SLO_SERVER_UP);
	roster_view_end(a, inproc_clock, true);
}
#define VIEW(f, ...) view(f, (const char *const[]){ __VA_ARGS__, NULL })

static int make(void **state)
{
	static struct fixture f;
	const struct daemon *d;

	inproc_open(&f.p);
	inproc_write_text(&f.p, CONF);
	inproc_start(&f.p);
	d = f.p.daemon;
	f.sources = (struct http_sources){ d->agent, d->agent,   d->haproxy,
		                           d->redis, d->cluster, d->recorder };
	VIEW(&f, "s1", "s2", "s3");
	*state = &f;
	return 0;
}

static int drop(void **state)
{
	struct fixture *f = *state;

	inproc_stop(&f->p);
	inproc_close(&f->p);
	return 0;
}

/* The names of the model's servers, and how many there are by "matched". */
static void assert_text(struct render *r, const char *first, const char *second, int matched)
{
	struct render_text *t = render_take(r);
	json_t *all, *servers;
	char text[1 << 16];
	size_t len = 0;

	assert_non_null(t);
	for (size_t i = 0; i < t->count; len += t->piece[i++].len) {
		assert_true(len + t->piece[i].len <= sizeof(text));
		memcpy(text + len, t->piece[i].p, t->piece[i].len);
	}
	render_text_free(t);
	all = json_loadb(text, len, 0, NULL);
	assert_non_null(all);
	servers = json_object_get(json_object_get(json_object_get(all, "models"), "m"), "servers");
	assert_int_equal(json_object_size(servers), matched);
	assert_non_null(json_object_get(servers, first));
	assert_non_null(json_object_get(servers, second));
	assert_int_equal(json_integer_value(json_object_get(
			     json_object_get(json_object_get(all, "models"), "m"), "matched")),
	                 matched);
	json_decref(all);
}

/* The clock stands still: a slice of no time is one step, and never writes a server. */
static void a_server_that_goes_while_it_is_chosen_is_not_written(void **state)
{
	struct render_want want = { .page = RENDER_STATE };
	struct fixture *f = *state;
	struct render *r;

	assert_true(render_cut_set(&want.cut, "limit", "10"));
	r = render_new(&f->sources, &want);
	assert_non_null(r);
	for (int i = 0; i < 10; i++)
		assert_false(render_run(r, 0));
	VIEW(f, "s1", "s3");
	assert_true(render_run(r, SLO_NSEC_PER_SEC));
	assert_text(r, "s1", "s3", 2);
	render_free(r);
}

static void one_that_comes_meanwhile_does_not_begin_it_anew(void **state)
{
	struct render_want want = { .page = RENDER_STATE };
	struct fixture *f = *state;
	struct render *r;

	VIEW(f, "s1", "s3");
	assert_true(render_cut_set(&want.cut, "limit", "10"));
	r = render_new(&f->sources, &want);
	assert_non_null(r);
	for (int i = 0; i < 10; i++)
		assert_false(render_run(r, 0));
	VIEW(f, "s1", "s2", "s3");
	assert_true(render_run(r, SLO_NSEC_PER_SEC));
	assert_text(r, "s1", "s3", 2);
	render_free(r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(a_server_that_goes_while_it_is_chosen_is_not_written),
		TEST(one_that_comes_meanwhile_does_not_begin_it_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

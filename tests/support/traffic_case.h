/* traffic_case.h - an agent with two models that is asked, and told of ends, as by HAProxy.
 * After cmocka.h. */
#ifndef SLO_TESTS_TRAFFIC_CASE_H
#define SLO_TESTS_TRAFFIC_CASE_H

#include "inproc.h"
#include "io/agent/ends.h"

struct fixture {
	struct inproc p;
	unsigned int ids;
	struct answer answer; /* the last one */
	bool answered;
};

static struct fixture *present; /* whom deliver() tells */

static inline void deliver(void *user, const struct answer *answer, slo_nsec now)
{
	(void)user;
	(void)now;
	present->answer = *answer;
	present->answered = true;
}

#define CONF                                                                                       \
	"{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\"]},"        \
	"\"models\":{\"m\":{\"backend\":\"b\",\"aliases\":[\"m-*\",\"base:*\",\"[Mm]odel\"],"      \
	"\"deployments\":{\"d\":{\"servers\":[\"s1\"]}}},"                                         \
	"\"m-2\":{\"aliases\":[\"m-3*\",\"two\"],\"deployments\":{\"d\":{\"servers\":[\"s2\"]}}}}" \
	","                                                                                        \
	"\"routing\":{\"seed\":1,\"default_model\":\"m\",\"strategy\":\"slo-least-load\","         \
	"\"predict\":\"p50\"}}"

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	MUST(f);
	inproc_open(&f->p);
	inproc_write_text(&f->p, CONF);
	inproc_start(&f->p);
	f->p.agent->deliver = deliver;
	present = f;
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	sched_check(f->p.agent->sched);
	inproc_stop(&f->p);
	inproc_close(&f->p);
	free(f);
	return 0;
}

static inline struct slice words(const char *text)
{
	return (struct slice){ (const uint8_t *)text, text ? strlen(text) : 0 };
}

static inline struct route_msg message(const char *path, const char *body)
{
	return (struct route_msg){ .found = true,
		                   .path = words(path),
		                   .body = words(body),
		                   .size = body ? (int64_t)strlen(body) : 0,
		                   .prompt_tokens = -1,
		                   .max_tokens = -1,
		                   .slo_e2e_ms = -1,
		                   .slo_ttft_ms = -1,
		                   .slo_tpot_ms = -1 };
}

/* Asks under a new id, f->ids. What it was charged for, if it is on a server. */
static inline const struct request *ask_with(struct fixture *f, struct route_msg msg)
{
	static char id[16];
	struct request *request;
	struct answer answer;

	snprintf(id, sizeof(id), "r%u", ++f->ids);
	msg.id = words(id);
	f->answered = false;
	if (agent_route(f->p.agent, inproc_clock, &msg, NULL, &answer, &request)) {
		f->answer = answer;
		return NULL;
	}
	agent_pump(f->p.agent, inproc_clock);
	assert_true(f->answered);
	return f->answer.server ? request : NULL;
}

static inline const struct request *ask(struct fixture *f, const char *path, const char *body)
{
	return ask_with(f, message(path, body));
}

/* The end line of the last request. */
static inline void end(struct fixture *f, const char *rest)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "slo1 id=r%u %s", f->ids, rest);

	assert_true(
	    ends_line(f->p.agent, inproc_clock, (const uint8_t *)line, (size_t)len, true, "test"));
}

static inline void assert_answer(const struct fixture *f, enum slo_verdict verdict,
                                 enum slo_reason reason, const char *backend)
{
	assert_int_equal(f->answer.verdict, verdict);
	assert_int_equal(f->answer.reason, reason);
	if (backend)
		assert_string_equal(f->answer.backend, backend);
	else
		assert_null(f->answer.backend);
}

static inline const struct estimator *estimator(const struct fixture *f)
{
	return &f->p.agent->models[0]->sched->estimator;
}

#define OK " srv=s1 st=200 ts=---- tr=50 ta=8000"
#define CHAT                                                                                    \
	"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Tell me a long story " \
	"of the scheduler who held a request until there was room for it at the servers\"}]}"
#define STREAM                                                                                     \
	"{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Tell me " \
	"a long story of the scheduler who held a request until there was room for it\"}]}"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif

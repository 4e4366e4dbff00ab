/* Times, sizes, numbers and choices of the configuration, and their ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_case.h"

#define SEC SLO_NSEC_PER_SEC

static void a_queue_timeout_may_follow_the_targets(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"routing\":{\"queue_timeout_max\":\"2m\"}"),
		  "f:5:12: key \"routing.queue_timeout_max\": is only for a queue_timeout that is "
		  "\"auto\"" },
		{ PLUS("\"routing\":{\"queue_timeout\":\"auto\",\"queue_timeout_max\":\"29s\"}"),
		  "f:5:55: key \"routing.queue_timeout_max\": is 29s, must be 30s to 1d" },
	};
	struct config *c = parse(PLUS("\"routing\":{\"queue_timeout\":\"auto\"}"));

	(void)state;
	assert_true(c->routing.queue_timeout == 30 * SEC);
	assert_true(c->routing.queue_timeout_most == 60 * SEC);
	config_free(c);
	c = parse(PLUS("\"routing\":{\"queue_timeout\":\"auto\",\"queue_timeout_max\":\"2m\"}"));
	assert_true(c->routing.queue_timeout_most == 120 * SEC);
	config_free(c);
	EXPECT_ERRORS(cases);
}

static void a_value_out_of_range_is_told_with_the_range(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"routing\":{\"queue_limit\":-1}"),
		  "f:5:26: key \"routing.queue_limit\": is -1, must be 0 to 10000000" },
		{ PLUS("\"routing\":{\"queue_timeout\":\"0\"}"),
		  "f:5:28: key \"routing.queue_timeout\": is 0, must be 1ms to 1d" },
		{ PLUS("\"routing\":{\"drain_timeout\":\"25h\"}"),
		  "f:5:28: key \"routing.drain_timeout\": is 25h, must be 0 to 1d" },
		{ PLUS("\"limits\":{\"idle_timeout\":-5}"),
		  "f:5:26: key \"limits.idle_timeout\": is -5ms, must be 0 to 1d" },
		{ PLUS("\"limits\":{\"id_length\":0}"),
		  "f:5:23: key \"limits.id_length\": is 0, must be 1 to 255" },
		{ PLUS("\"limits\":{\"id_length\":256}"),
		  "f:5:23: key \"limits.id_length\": is 256, must be 1 to 255" },
		{ PLUS("\"limits\":{\"spop_frame_size\":\"2m\"}"),
		  "f:5:29: key \"limits.spop_frame_size\": is 2m, must be 256 to 1m" },
		{ PLUS("\"limits\":{\"spop_frame_size\":\"512k\"}"),
		  "f:5:29: key \"limits.spop_frame_size\": an output_buffer of 262144 bytes cannot "
		  "hold a spop_frame_size of 524288 and 4 more" },
		{ PLUS("\"limits\":{\"spop_frame_size\":\"8k\",\n\"output_buffer\":\"8k\"}"),
		  "f:6:17: key \"limits.output_buffer\": an output_buffer of 8192 bytes cannot "
		  "hold a spop_frame_size of 8192 and 4 more" },
		{ PLUS("\"routing\":{\"seed\":-1}"),
		  "f:5:19: key \"routing.seed\": is -1, must be 0 to 9223372036854775807" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"x\",\"refresh\":\"99ms\"}}"),
		  "f:5:42: key \"profiles.redis.refresh\": is 99ms, must be 100ms to 1d" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"redis://:s3cret@h:0\"}}"),
		  "f:5:28: key \"profiles.redis.url\": has a port that is not 1 to 65535" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"redis://h\",\"trace\":1}}"),
		  "f:5:48: key \"profiles.redis.trace\": is a number, must be true or false" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"redis://h\",\"ca_file\":\"f\"}}"),
		  "f:5:40: key \"profiles.redis.ca_file\": needs an url with rediss://" },
		{ PLUS("\"profiles\":{\"redis\":{\"url\":\"rediss://h\",\"key_file\":\"f\"}}"),
		  "f:5:41: key \"profiles.redis.key_file\": needs a cert_file" },
		{ "{\"spop\":{\"listen\":[]}}",
		  "f:1:19: key \"spop.listen\": has 0 addresses, must have 1 to 16" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

static void a_grace_is_no_shorter_than_a_poll(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"haproxy\":{\"runtime_api\":[\"h:1\"],\"grace\":\"999ms\"}"),
		  "f:5:42: key \"haproxy.grace\": is shorter than \"haproxy.poll\", which is "
		  "1000 ms" },
		{ PLUS("\"haproxy\":{\"grace\":0,\n\"poll\":\"50ms\",\"runtime_api\":[\"h:1\"]}"),
		  "f:5:20: key \"haproxy.grace\": is shorter than \"haproxy.poll\", which is "
		  "50 ms" },
	};
	struct config *c;

	(void)state;
	EXPECT_ERRORS(cases);
	c = parse(PLUS("\"haproxy\":{\"runtime_api\":[\"h:1\"],\"poll\":\"2s\",\"grace\":\"2s\"}"));
	assert_true(c->haproxy_poll == 2 * SEC && c->haproxy_grace == 2 * SEC);
	config_free(c);
	c = parse(PLUS("\"haproxy\":{\"runtime_api\":[\"h:1\"],\"poll\":\"5s\"}"));
	assert_true(c->haproxy_poll == 5 * SEC && c->haproxy_grace == 5 * SEC);
	config_free(c);
}

static void a_bad_time_or_size_is_told(void **state)
{
	static const char *const times[] = { "",
		                             "s",
		                             "5 s",
		                             "5S",
		                             "1h30m",
		                             "-5s",
		                             "1.5s",
		                             "5x",
		                             "9223372036854775808us",
		                             "9223372036854775807d",
		                             "0x5" };
	static const char *const sizes[] = {
		"", "k", "64kb", "1.5m", "-1", "9223372036854775807k"
	};
	char text[512], want[512];

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		snprintf(text, sizeof(text), PLUS("\"routing\":{\"queue_timeout\":\"%s\"}"),
		         times[i]);
		snprintf(want, sizeof(want),
		         "f:5:28: key \"routing.queue_timeout\": is \"%s\", must be a time such as "
		         "\"500ms\", \"30s\", \"5m\" or \"2h\"%s",
		         times[i],
		         strchr(times[i], '.') ? ", without a fraction (500ms, not 0.5s)" : "");
		expect_error(text, want);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(text, sizeof(text), PLUS("\"limits\":{\"output_buffer\":\"%s\"}"),
		         sizes[i]);
		snprintf(want, sizeof(want),
		         "f:5:27: key \"limits.output_buffer\": is \"%s\", must be a size such as "
		         "\"16380\", \"64k\" or \"1m\"%s",
		         sizes[i],
		         strchr(sizes[i], '.') ? ", without a fraction (512k, not 0.5m)" : "");
		expect_error(text, want);
	}
	expect_error(PLUS("\"limits\":{\"idle_timeout\":9223372036854775807}"),
	             "f:5:26: key \"limits.idle_timeout\": is too large for a time");
}

static void a_wrong_choice_is_told_with_the_right_ones(void **state)
{
	static const struct bad cases[] = {
		{ PLUS("\"routing\":{\"strategy\":\"fast\"}"),
		  "f:5:23: key \"routing.strategy\": is \"fast\", must be slo, slo-least-load, "
		  "slo-least-load-pulling, slo-pack-load, least-request, random or slo-adaptive" },
		{ PLUS("\"routing\":{\"fallback\":\"slo\"}"),
		  "f:5:23: key \"routing.fallback\": is \"slo\", must be least-request or random" },
		{ PLUS("\"routing\":{\"late\":\"Serve\"}"),
		  "f:5:19: key \"routing.late\": is \"Serve\", must be serve, hold or reject" },
		{ PLUS("\"routing\":{\"infeasible\":\"x\"}"),
		  "f:5:25: key \"routing.infeasible\": is \"x\", must be reject or fallback" },
		{ PLUS("\"routing\":{\"predict\":\"p99\"}"),
		  "f:5:22: key \"routing.predict\": is \"p99\", must be sample, p50 or p90" },
		{ PLUS("\"routing\":{\"cold\":\"\\n\"}"),
		  "f:5:19: key \"routing.cold\": is \"?\", must be optimistic, input or max" },
		{ PLUS("\"log\":{\"level\":\"loud\"}"),
		  "f:5:16: key \"log.level\": is \"loud\", must be debug, info, notice, warning or "
		  "error" },
		{ PLUS("\"routing\":{\"tokens\":{\"weights\":\"gpt5\"}}"),
		  "f:5:32: key \"routing.tokens.weights\": is \"gpt5\", must be avg, cl100k, "
		  "o200k, "
		  "llama3, qwen2, dsv3 or llama2" },
		{ PLUS("\"routing\":{\"default_model\":\"M\"}"),
		  "f:5:28: key \"routing.default_model\": is \"M\", which is none of the models" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"aliases\":[\"\"]}}}",
		  "f:4:27: key \"models.m.aliases[0]\": is empty" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"aliases\":[7]}}}",
		  "f:4:27: key \"models.m.aliases[0]\": is a number, must be a string" },
		{ SPOP EVENTS "\"models\":{\"m\":{\"strategy\":\"x\"}}}",
		  "f:4:27: key \"models.m.strategy\": is \"x\", must be slo, slo-least-load, "
		  "slo-least-load-pulling, slo-pack-load, least-request, random or slo-adaptive" },
	};

	(void)state;
	EXPECT_ERRORS(cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_timeout_may_follow_the_targets),
		cmocka_unit_test(a_value_out_of_range_is_told_with_the_range),
		cmocka_unit_test(a_grace_is_no_shorter_than_a_poll),
		cmocka_unit_test(a_bad_time_or_size_is_told),
		cmocka_unit_test(a_wrong_choice_is_told_with_the_right_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

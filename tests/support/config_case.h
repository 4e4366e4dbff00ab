/* config_case.h - configurations as texts, for the tests of agent/conf. */
#ifndef SLO_TESTS_CONFIG_CASE_H
#define SLO_TESTS_CONFIG_CASE_H

#include "conf/config.h"

/* The three required sections, on lines 2, 3 and 4; more may follow on line 5. */
#define SPOP    "{\n\"spop\":{\"listen\":[\"127.0.0.1:9901\"]},\n"
#define EVENTS  "\"events\":{\"listen\":[\"udp:127.0.0.1:9902\"]},\n"
#define MODELS  "\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":[\"s1\",\"s2\"]}}}}"
#define MINIMAL SPOP EVENTS MODELS "}"
#define PLUS(x) SPOP EVENTS MODELS ",\n" x "}"

/* Parses a copy of exactly its size, so that a sanitizer sees an over-read. */
struct config *parse_bytes(const char *s, size_t len, const char *path, struct doc_error *err);
struct config *parse_at(const char *s, const char *path, struct doc_error *err);
/* Must be good; its path is dir/slo.json. */
struct config *parse(const char *s);
/* Must be bad; `want` is the whole line, and the file's name is f. */
void expect_error(const char *text, const char *want);

struct bad {
	const char *text, *want;
};

#define EXPECT_ERRORS(cases)                                               \
	for (size_t i_ = 0; i_ < sizeof(cases) / sizeof((cases)[0]); i_++) \
	expect_error((cases)[i_].text, (cases)[i_].want)

#endif

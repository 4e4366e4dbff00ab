#include "io/agent/ask.h"

#include <fnmatch.h>
#include <string.h>

#include "io/agent/agent.h"
#include "wire/body_class.h"

static struct agent_model *exact_model(const struct agent *a, struct slice name)
{
	struct sched_model *m = sched_model_find(a->sched, (const char *)name.p, name.len);

	return m ? m->owner : NULL;
}

/* A model's own name goes before all aliases, and these in the order of the configuration. */
static struct agent_model *find_model(const struct agent *a, struct slice name)
{
	struct agent_model *m = exact_model(a, name);
	char text[BODY_MODEL_MAX + 1];

	if (m || name.len > BODY_MODEL_MAX || memchr(name.p, 0, name.len))
		return m;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	for (size_t i = 0; i < a->model_count; i++) {
		const struct config_model *conf = a->models[i]->conf;

		for (size_t k = 0; k < conf->alias_count; k++) {
			if (fnmatch(conf->aliases[k], text, FNM_NOESCAPE) == 0)
				return a->models[i];
		}
	}
	return NULL;
}

/* The model named by the message, else by the body, else by the path, else the default one. */
static void choose_model(const struct agent *a, struct ask *ask)
{
	struct slice in_path;

	ask->name = ask->msg->model.len > 0 ? ask->msg->model : ask->body.model;
	ask->model = NULL;
	if (ask->name.len > 0) {
		ask->model = find_model(a, ask->name);
		return;
	}
	in_path = endpoint_model(ask->msg->path);
	if (in_path.len > 0)
		ask->model = find_model(a, in_path);
	/* A body that cannot be read may name another one. */
	if (!ask->model && !body_is_foreign(&ask->body))
		ask->model = a->default_model;
}

/* Work that the table of paths does not know is told by the body. */
static enum endpoint_kind kind_of(const struct ask *ask)
{
	const struct route_msg *msg = ask->msg;
	bool hinted = msg->prompt_tokens >= 0 || msg->max_tokens >= 0;

	/* Who asks Ollama nothing wants a model to be loaded, or unloaded. */
	if (ask->endpoint.streams && ask->body.is_json && ask->body.complete && !ask->body.asks &&
	    !hinted)
		return ENDPOINT_IDLE;
	if (ask->endpoint.kind != ENDPOINT_UNKNOWN)
		return ask->endpoint.kind;
	if (ask->body.asks || ask->body.form == BODY_BROKEN || hinted)
		return ENDPOINT_GENERATE;
	if (body_is_foreign(&ask->body) && msg->model.len > 0)
		return ENDPOINT_GENERATE;
	return ask->body.is_json && !ask->body.complete ? ENDPOINT_GENERATE : ENDPOINT_IDLE;
}

void ask_read(struct agent *a, const struct route_msg *msg, struct ask *ask)
{
	ask->msg = msg;
	ask->endpoint = endpoint_of(msg->path);
	body_read(msg->body, msg->encoding, msg->ctype, &ask->body);
	if (msg->size > (int64_t)msg->body.len)
		body_is_cut(&ask->body);
	a->stats.bodies[ask->body.form]++;
	ask->endpoint.kind = kind_of(ask);
	choose_model(a, ask);
}

enum slo_reason ask_is_idle(const struct ask *ask)
{
	if (ask->endpoint.kind == ENDPOINT_IDLE)
		return SLO_REASON_NO_WORK;
	if (ask->body.form == BODY_BROKEN)
		return SLO_REASON_BAD_REQUEST;
	if (body_is_foreign(&ask->body) && ask->name.len == 0 && !ask->model)
		return SLO_REASON_BAD_REQUEST;
	return ask->model ? SLO_REASON_NONE : SLO_REASON_UNKNOWN_MODEL;
}

/* A client's target, no tighter than the model allows; 0: none. */
static slo_nsec target_of(struct agent *a, int64_t ms, slo_nsec least)
{
	const int64_t longest = 86400 * INT64_C(1000);
	slo_nsec target = (ms < longest ? ms : longest) * SLO_NSEC_PER_MSEC;

	if (ms <= 0)
		return 0;
	if (target >= least)
		return target;
	a->stats.limited_targets++;
	return least;
}

static struct slo_target targets_of(struct agent *a, const struct config_client_limits *l,
                                    const struct route_msg *msg)
{
	return (struct slo_target){ .e2e = target_of(a, msg->slo_e2e_ms, l->e2e_min),
		                    .ttft = target_of(a, msg->slo_ttft_ms, l->ttft_min),
		                    .tpot = target_of(a, msg->slo_tpot_ms, l->tpot_min) };
}

/* A priority, no farther from 0 than the model allows. */
static int32_t priority_of(struct agent *a, const struct config_client_limits *l, int64_t asked)
{
	int64_t most = (int64_t)l->priority_max;

	if (asked >= -most && asked <= most)
		return (int32_t)asked;
	a->stats.limited_priorities++;
	return (int32_t)(asked < 0 ? -most : most);
}

/* Output tokens of all its sequences together; -1 stays. */
static int64_t times(int64_t each, int64_t sequences)
{
	if (each < 0)
		return -1;
	return each > INT32_MAX / sequences ? INT32_MAX : each * sequences;
}

/* The limit of each answer, as the client set it; -1: none. */
static int64_t stated_limit(const struct ask *ask)
{
	return ask->msg->max_tokens >= 0 ? ask->msg->max_tokens : ask->body.max_tokens;
}

/* The limit of all together; -1: none. */
static int64_t output_limit(const struct ask *ask)
{
	int64_t max = stated_limit(ask);

	if (ask->endpoint.kind == ENDPOINT_READ)
		return 0;
	if (max < 0 && !ask->model->no_default_limit)
		max = ask->endpoint.default_max;
	return times(max, ask->body.sequences);
}

/* Whether the answer is a stream, as far as it is said. */
static bool is_stream(const struct ask *ask)
{
	const struct body_info *b = &ask->body;

	return b->stream || ask->endpoint.stream || (ask->endpoint.streams && !b->has_stream);
}

static unsigned mute_of(const struct ask *ask)
{
	const struct body_info *b = &ask->body;
	unsigned mute = 0;

	if (body_is_foreign(b))
		return LESSON_NOTHING;
	if (b->opaque || ask->endpoint.media)
		mute |= LESSON_NO_PROMPT;
	if (ask->endpoint.media)
		mute |= LESSON_NO_OUTPUT | LESSON_NO_SIZE;
	if (ask->endpoint.kind == ENDPOINT_READ)
		mute |= LESSON_NO_ANSWER;
	if (stated_limit(ask) < 0)
		mute |= LESSON_NO_LIMIT;
	if (b->bulky || (ask->endpoint.bulky && !is_stream(ask)))
		mute |= LESSON_NO_SIZE;
	if (b->ignore_eos || b->min_tokens > 0)
		mute |= LESSON_NO_OUTPUT;
	if (b->receipt && !is_stream(ask))
		mute |= LESSON_RECEIPT;
	return mute;
}

_Static_assert(BODY_CLASSES <= PREDICTOR_CLASSES && BODY_CLASS_UNKNOWN == PREDICTOR_UNKNOWN,
               "the predictor knows all classes");

struct sched_request ask_request(struct agent *a, const struct ask *ask, slo_nsec now,
                                 enum slo_strategy strategy, void *user)
{
	const struct route_msg *msg = ask->msg;
	const struct body_info *body = &ask->body;
	bool told = msg->prompt_tokens >= 0;
	/* OpenAI's clients write "stream" behind the messages, where a long body is cut. Taken for
	 * whole answers, the bytes of streams would teach fifty times their tokens. */
	bool unseen = body->is_json && !body->complete && !body->has_stream;
	int64_t limit = output_limit(ask);

	return (struct sched_request){
		.id = (const char *)msg->id.p,
		.id_len = msg->id.len,
		.model = ask->model->sched,
		.strategy = strategy,
		.input = told ? msg->prompt_tokens
		              : body_prompt_tokens(body, ask->model->conf->weights, msg->size),
		.input_told = told,
		.output = body->ignore_eos ? limit : -1,
		.max_output = limit,
		.min_output = times(body->min_tokens, body->sequences),
		.sequences = body->sequences,
		.mute = mute_of(ask),
		.class = body_class(body, &ask->endpoint, stated_limit(ask)),
		.stream = is_stream(ask) || unseen,
		.stream_guessed = unseen && !ask->endpoint.stream,
		.created = now,
		.own = targets_of(a, &ask->model->conf->limits, msg),
		.priority = priority_of(a, &ask->model->conf->limits, msg->priority),
		.user = user,
	};
}

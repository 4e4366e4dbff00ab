#include "core/latency/learner.h"

#include <math.h>
#include <string.h>

#include "core/bounds.h"

#define WARM_ENDS     100
#define SURE_ENDS     200 /* before, the tail of the errors is unknown */
#define DOUBT_ERROR   0.35
#define DOUBT_TAIL    2.5
#define PRIOR_ENDS    20   /* as so many does a profile weigh */
#define PRIOR_IN_TIME 1.15 /* of the predicted time */
#define PRIOR_GROWS   0.1  /* of a request's tokens */
#define CUSUM_SLACK   0.2
#define CUSUM_ALARM   4.0

#define SAFETY_FIRST 0.5
#define SAFETY_LEAST 0.4
#define SAFETY_MOST  0.9
#define SMALL        0.15 /* of a target */

#define LIMIT_SHARE 0.7 /* of a limit that is only being found: above, the engine may be full */

#define CROWD_MEMORY 200.0 /* ends */
#define CROWD_LEAST  0.75
#define CROWD_MOST   4.0

#define FORCE_MOVED  0.05
#define FORCE_OFTEN  (SLO_NSEC_PER_SEC / 5)
#define FORCE_SELDOM (10 * SLO_NSEC_PER_SEC)

const char *latency_state_name(enum latency_state s)
{
	static const char *const names[] = { "cold", "warm", "hot" };

	return names[s];
}

const char *latency_doubt_name(enum latency_doubt d)
{
	static const char *const names[] = { "", "error", "tail", "drift" };

	return names[d];
}

/* Whether the size is what a profile saw, as nobody else told it. */
static bool kv_of_prior(const struct latency_learner *l)
{
	return !(l->kv > 0) && l->prior_kv > 0;
}

/* Whether it is known: told, and nothing speaks against it. */
static bool kv_told(const struct latency_learner *l)
{
	return l->room.told > 0 || kv_of_prior(l);
}

/* What is predicted is forgotten too early: a request that turns out long stays while short ones
 * go, so what is there is more than what the predictions add up to. It is less where prompts are
 * estimated too large; where the cache's size is not known, nothing is risked for that. */
static double crowd_now(const struct latency_learner *l)
{
	double least = kv_told(l) ? CROWD_LEAST : 1;

	return l->expected > 0 ? at_most(at_least(l->there / l->expected, least), CROWD_MOST) : 1;
}

static void note_crowd(struct latency_learner *l, const struct latency_lesson *lesson)
{
	l->there += (lesson->tokens * lesson->stay.seconds - l->there) / CROWD_MEMORY;
	l->expected += (lesson->expected * lesson->stay.seconds - l->expected) / CROWD_MEMORY;
}

static double kv_now(const struct latency_learner *l)
{
	return kv_of_prior(l) ? l->prior_kv : l->room.limit;
}

static double headroom_now(const struct latency_learner *l)
{
	double s;

	if (l->headroom > 0)
		return l->headroom;
	if (l->doubt != LATENCY_DOUBT_NONE)
		return SAFETY_FIRST;
	if (l->ends < SURE_ENDS)
		return l->prior ? SAFETY_MOST : SAFETY_FIRST;
	s = 1 / latency_errors_quantile(&l->errors, 0.99);
	return at_most(at_least(s, SAFETY_LEAST), SAFETY_MOST);
}

static enum latency_doubt doubt_now(const struct latency_learner *l)
{
	if (l->ends >= WARM_ENDS && l->trusted < WARM_ENDS)
		return LATENCY_DOUBT_DRIFT;
	if (latency_errors_median(&l->errors) > DOUBT_ERROR)
		return LATENCY_DOUBT_ERROR;
	if (latency_errors_quantile(&l->errors, 0.95) > DOUBT_TAIL)
		return LATENCY_DOUBT_TAIL;
	return LATENCY_DOUBT_NONE;
}

static enum latency_state state_now(const struct latency_learner *l)
{
	if (l->ends + l->passed / 2 < LATENCY_COLD_ENDS && !l->prior)
		return LATENCY_COLD;
	if (l->ends < WARM_ENDS || l->doubt != LATENCY_DOUBT_NONE)
		return LATENCY_WARM;
	return LATENCY_HOT;
}

void latency_learner_enforce(struct latency_learner *l, slo_nsec now)
{
	l->doubt = doubt_now(l);
	l->force = (struct latency_force){
		.state = state_now(l),
		.rates = { .step = latency_fit_rate(&l->fit, 0),
		           .prompt = latency_fit_rate(&l->fit, 1),
		           .cached = latency_fit_rate(&l->fit, 2),
		           .kv = kv_now(l),
		           .kv_told = kv_told(l),
		           .headroom = headroom_now(l),
		           .crowd = crowd_now(l) },
	};
	l->forced = now;
}

void latency_learner_headroom(struct latency_learner *l, slo_nsec now, double headroom)
{
	l->headroom = headroom;
	latency_learner_enforce(l, now);
}

void latency_learner_init(struct latency_learner *l, double kv)
{
	memset(l, 0, sizeof(*l));
	latency_fit_init(&l->fit);
	latency_room_init(&l->room, kv);
	l->kv = kv;
	latency_learner_enforce(l, 0);
}

void latency_learner_prior(struct latency_learner *l, slo_nsec now, const struct latency_given *g)
{
	bool first = l->ends + l->passed == 0, tells = g && g->points > 0;

	if (!tells)
		latency_room_saw(&l->room, l->prior_kv);
	l->prior = tells;
	l->prior_kv = 0;
	if (first)
		latency_fit_init(&l->fit);
	if (tells) {
		l->prior_kv = g->kv;
		latency_room_saw(&l->room, g->held);
		if (first) {
			l->fit = g->fit;
			latency_fit_weigh(&l->fit, g->points, PRIOR_ENDS);
		}
	}
	latency_learner_enforce(l, now);
}

void latency_learner_grown(struct latency_learner *l, slo_nsec now, double kv)
{
	if (!(l->prior_kv > 0) || !(kv > l->prior_kv))
		return;
	l->prior_kv = kv;
	latency_learner_enforce(l, now);
}

void latency_learner_kv(struct latency_learner *l, double kv)
{
	bool wrong = kv > 0 && !(fabs(kv - l->wrong) > 0);

	if (kv > 0 && !wrong) {
		latency_room_init(&l->room, kv);
		l->wrong = 0;
	}
	l->room.told = l->kv = kv;
	l->room.larger = 0;
	if (wrong)
		latency_room_disprove(&l->room);
	latency_learner_enforce(l, l->forced);
}

static bool moved(double a, double b)
{
	return fabs(a - b) > FORCE_MOVED * b;
}

/* Whether what was learned differs enough from what is in force. */
static bool outdated(const struct latency_learner *l, slo_nsec now,
                     const struct latency_features *x)
{
	const struct latency_rates *r = &l->force.rates;
	double forced;

	if (state_now(l) != l->force.state)
		return true;
	if (now - l->forced < FORCE_OFTEN)
		return false;
	forced = r->step * x->steps + r->prompt * x->prompts + r->cached * x->reads;
	return now - l->forced >= FORCE_SELDOM || moved(latency_fit_predict(&l->fit, x), forced) ||
	       moved(kv_now(l), r->kv) || moved(headroom_now(l), r->headroom) ||
	       moved(crowd_now(l), r->crowd);
}

/* How late this server is beside the others. */
static double own_lateness(const struct latency_learner *l, const struct latency_speed *speed,
                           bool several)
{
	return several ? speed->late - l->usual : 0;
}

static void note_speed(struct latency_learner *l, struct latency_speed *speed, double late)
{
	double weight = 1.0 / (10 + (speed->ends < 10 ? speed->ends : 10));

	late = at_most(at_least(late, -2), 2);
	speed->ends++;
	speed->late += (late - speed->late) * weight;
	/* A step towards it at each end: where it rests, as many are above as below. */
	l->usual += speed->late > l->usual ? 0.01 : -0.01;
}

/* Sums up what is beyond the usual error, until it is too much for chance. */
static void watch_drift(struct latency_learner *l, const struct latency_features *x, double late)
{
	late = at_most(at_least(late, -1), 1);
	l->slow = at_least(l->slow + late - CUSUM_SLACK, 0);
	l->fast = at_least(l->fast - late - CUSUM_SLACK, 0);
	if (l->slow < CUSUM_ALARM && l->fast < CUSUM_ALARM)
		return;
	latency_fit_doubt(&l->fit, x);
	l->slow = l->fast = 0;
	l->trusted = 0;
}

/* Whether a request may have waited inside the engine, which is not speed. */
static bool may_have_waited(const struct latency_learner *l, double held)
{
	if (kv_told(l))
		return held > kv_now(l);
	return l->force.state != LATENCY_COLD && held > LIMIT_SHARE * l->room.limit;
}

/* A profile tells what it saw in a cache at most. Who finds more there and is in time shows that
 * this one is larger; were it not, all would be late. */
static void note_prior_room(struct latency_learner *l, const struct latency_lesson *lesson,
                            double held)
{
	if (held > l->prior_kv && l->ratio < PRIOR_IN_TIME)
		l->prior_kv += PRIOR_GROWS * lesson->tokens;
}

/* The errors, if they are those of rates that hold: the first ones are of a guess. */
static const struct latency_errors *usual_errors(const struct latency_learner *l)
{
	return l->ends >= SURE_ENDS && l->doubt == LATENCY_DOUBT_NONE ? &l->errors : NULL;
}

static void note_room(struct latency_learner *l, slo_nsec now, const struct latency_lesson *lesson,
                      double held)
{
	const struct latency_guest guest = {
		.held = held,
		.tokens = lesson->tokens,
		.ratio = l->ratio,
		.errors = usual_errors(l),
		.seconds = lesson->stay.seconds,
		.on_top = lesson->on_top,
		.wanted = lesson->wanted,
	};

	if (kv_of_prior(l))
		note_prior_room(l, lesson, held);
	else if (l->force.state == LATENCY_COLD)
		latency_room_saw(&l->room, held);
	else
		latency_room_note(&l->room, now, &guest);
}

static bool believable(const struct latency_features *x)
{
	return x->seconds > 0 && x->steps >= 1 && x->prompts > 0 && x->reads >= 0;
}

/* What takes a small part of its target is in time however wrong that is foreseen: safety is of no
 * use to it, and its error, which may be large beside so little, asks for none. */
static double error_of(double seconds, double predicted, double target)
{
	double least = SMALL * target;

	return log(at_least(seconds, least) / at_least(predicted, least));
}

static void teach(struct latency_learner *l, struct latency_features *x, double predicted,
                  double own, double target, struct latency_speed *speed)
{
	note_speed(l, speed, log(x->seconds / predicted));
	if (l->ends >= LATENCY_COLD_ENDS) {
		latency_errors_add(&l->errors, error_of(x->seconds, predicted * exp(own), target));
		watch_drift(l, x, log(l->ratio));
	}
	x->seconds *= exp(-own);
	if (l->ends < LATENCY_COLD_ENDS && !l->prior)
		latency_fit_question(&l->fit, x);
	latency_fit_teach(&l->fit, x);
	l->ends++;
	if (l->trusted < UINT32_MAX)
		l->trusted++;
	l->doubt = doubt_now(l);
}

bool latency_learn(struct latency_learner *l, slo_nsec now, const struct latency_lesson *lesson,
                   struct latency_speed *speed)
{
	struct latency_features x = lesson->stay;
	double own = own_lateness(l, speed, lesson->several), predicted, held;

	if (!believable(&x)) {
		l->passed++;
		return false;
	}
	note_crowd(l, lesson);
	x.reads *= crowd_now(l);
	held = lesson->held * crowd_now(l);
	predicted = latency_fit_predict(&l->fit, &x);
	l->ratio = x.seconds / (predicted * exp(own));
	latency_room_proves(&l->room, now, lesson->longest);
	if (latency_room_disproved(&l->room))
		l->wrong = l->kv;
	note_room(l, now, lesson, held);
	if (may_have_waited(l, held))
		l->passed++;
	else
		teach(l, &x, predicted, own, lesson->target, speed);
	if (!outdated(l, now, &x))
		return false;
	latency_learner_enforce(l, now);
	return true;
}

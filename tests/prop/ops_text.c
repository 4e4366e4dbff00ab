/* ops_text.c - operations as the lines of a scenario file. */
#include <math.h>
#include <string.h>

#include "ops.h"

#define MS SLO_NSEC_PER_MSEC

static void seconds(FILE *f, const char *key, slo_nsec t)
{
	fprintf(f, "\"%s\":%s%lld.%09lld", key, t < 0 ? "-" : "",
	        (long long)(t < 0 ? -t : t) / (long long)SLO_NSEC_PER_SEC,
	        (long long)(t < 0 ? -t : t) % (long long)SLO_NSEC_PER_SEC);
}

static void number(FILE *f, double v)
{
	if (isnan(v))
		fputs("NaN", f);
	else
		fprintf(f, "%.17g", v);
}

static void row(FILE *f, const double *v, size_t n)
{
	fputc('[', f);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			fputc(',', f);
		number(f, v[i]);
	}
	fputc(']', f);
}

static void table(FILE *f, const char *key, const struct slo_profile_doc *d, const double *v)
{
	if (v == NULL)
		return;
	fprintf(f, ",\"%s\":[", key);
	for (size_t i = 0; i < d->rows; i++) {
		if (i > 0)
			fputc(',', f);
		row(f, v + i * d->cols, d->cols);
	}
	fputc(']', f);
}

static void write_profile(FILE *f, const struct op *op)
{
	struct doc doc;
	const struct slo_profile_doc *d = &doc.head;

	doc_build(&doc, op->seed, op->doc_created);
	fputc('{', f);
	seconds(f, "t", op->t);
	fprintf(f, ",\"profile\":{\"gpu\":\"d%u\",\"cost\":1,\"created\":", op->deployment);
	number(f, d->created);
	fputs(",\"indexes\":[", f);
	row(f, d->output_axis, d->rows);
	fputc(',', f);
	row(f, d->input_axis, d->cols);
	fputc(']', f);
	table(f, "tputs", d, d->tputs);
	table(f, "e2e", d, d->e2e);
	table(f, "ttft", d, d->ttft);
	table(f, "tpot", d, d->tpot);
	fputs(",\"slos\":{\"percentile\":99,\"e2e\":", f);
	number(f, d->slo_e2e);
	fputs(",\"ttft\":", f);
	number(f, d->slo_ttft);
	fputs(",\"tpot\":", f);
	number(f, d->slo_tpot);
	fputs(",\"tpat\":", f);
	number(f, d->slo_tpat);
	fprintf(f, "}},\"model\":\"m%u\",\"deployment\":\"d%u\"}\n", op->model, op->deployment);
}

static void write_target(FILE *f, const char *key, slo_nsec span)
{
	if (span > 0)
		fprintf(f, ",\"%s\":%lld", key, (long long)(span / MS));
}

static void write_arrival(FILE *f, const struct op *op)
{
	fputc('{', f);
	seconds(f, "t", op->t);
	fprintf(f, ",\"arrive\":\"r%u\",\"model\":\"m%u\",\"strategy\":\"%s\"", op->id, op->model,
	        naive_strategy_name[op->strategy]);
	fprintf(f, ",\"input\":%lld,\"output\":%lld", (long long)op->input, (long long)op->output);
	if (op->created != op->t) {
		fputc(',', f);
		seconds(f, "created", op->created);
	}
	if (op->priority != 0)
		fprintf(f, ",\"priority\":%d", op->priority);
	write_target(f, "slo_e2e_ms", op->own.e2e);
	write_target(f, "slo_ttft_ms", op->own.ttft);
	write_target(f, "slo_tpot_ms", op->own.tpot);
	fputs("}\n", f);
}

/* What the format has no word for. */
static slo_nsec at_most(slo_nsec t)
{
	return t == SLO_NEVER ? 1000000 * SLO_NSEC_PER_SEC : t;
}

static void write_config(FILE *f, const struct naive_conf *c, slo_nsec t)
{
	fputc('{', f);
	seconds(f, "t", t);
	fprintf(f, ",\"config\":{\"fallback\":\"%s\",\"late\":\"%s\",\"infeasible\":\"%s\"",
	        naive_strategy_name[c->fallback], naive_late_name[c->late],
	        c->infeasible_fallback ? "fallback" : "reject");
	fprintf(f, ",\"queue_limit\":%zu,", c->queue_limit);
	seconds(f, "queue_timeout_s", at_most(c->queue_timeout));
	if (c->hold_most > c->queue_timeout) {
		fputs(",\"queue_timeout\":\"auto\",", f);
		seconds(f, "queue_timeout_max_s", at_most(c->hold_most));
	}
	fprintf(f, "}}\n{\"expect\":{\"lease_ms\":%lld}}\n",
	        c->lease == SLO_NEVER ? -1 : (long long)(c->lease / MS));
}

/* The format has no words for these. */
static void write_change(FILE *f, const struct op *op)
{
	static const char *const verb[] = {
		[OP_UNSEAT] = "unseat",   [OP_LEAVE] = "leave",
		[OP_MOVE] = "move",       [OP_DROP] = "drop",
		[OP_ORDER] = "order",     [OP_DROP_MODEL] = "drop model",
		[OP_SURPLUS] = "surplus", [OP_EXPIRE] = "expire",
		[OP_PROCESS] = "process", [OP_EXPIRE_DEPARTED] = "expire departed",
		[OP_LIST] = "list",       [OP_LIFE] = "life",
		[OP_VISIBLE] = "visible", [OP_FORGET] = "forget",
		[OP_DEAL] = "deal",
	};

	fputs("\"expect\":{", f);
	seconds(f, "t", op->t);
	fprintf(f, ",\"change\":\"%s\",\"model\":\"m%u\",\"deployment\":\"d%u\"", verb[op->kind],
	        op->model, op->deployment);
	fprintf(f, ",\"server\":\"s%u\",\"count\":%u,\"seed\":%llu,\"owner\":\"o%u\",\"up\":%d}",
	        op->server, op->count, (unsigned long long)op->seed, op->owner, op->up);
}

static void write_foreign(FILE *f, const struct op *op)
{
	seconds(f, "t", op->t);
	fprintf(f, ",\"foreign\":\"r%u\",\"owner\":\"o%u\",\"on\":\"s%u\"", op->id, op->owner,
	        op->server);
	if (op->model < NAIVE_MODELS)
		fprintf(f, ",\"model\":\"m%u\"", op->model);
	fprintf(f, ",\"load\":%.17g,\"age_ms\":%u,\"strategy\":\"%s\"",
	        (double)op->seed / (double)(UINT64_C(1) << 32), op->count,
	        naive_strategy_name[op->strategy]);
}

static void write_op(FILE *f, const struct op *op)
{
	if (op->busy)
		fputs("{\"expect\":{\"wake-ups missed before\":true}}\n", f);
	if (op->kind == OP_ARRIVE) {
		write_arrival(f, op);
		return;
	}
	if (op->kind == OP_PROFILE) {
		write_profile(f, op);
		return;
	}
	if (op->kind == OP_CONFIG) {
		struct naive_conf conf;

		conf_build(&conf, op->seed);
		write_config(f, &conf, op->t);
		return;
	}
	fputc('{', f);
	switch (op->kind) {
	case OP_ARRIVE:
	case OP_PROFILE:
	case OP_CONFIG:
		break;
	case OP_END:
		seconds(f, "t", op->t);
		fprintf(f, ",\"done\":\"r%u\"", op->id);
		if (op->owner > 0)
			fprintf(f, ",\"on\":\"s%u\"", op->owner - 1);
		break;
	case OP_FOREIGN:
		write_foreign(f, op);
		break;
	case OP_FOREIGN_END:
		seconds(f, "t", op->t);
		fprintf(f, ",\"done\":\"r%u\",\"owner\":\"o%u\"", op->id, op->owner);
		break;
	case OP_OTHERS:
		seconds(f, "t", op->t);
		fprintf(f, ",\"others\":%u", op->count);
		break;
	case OP_HEARD:
		seconds(f, "t", op->t);
		fprintf(f, ",\"heard_ms\":%u", op->count);
		break;
	case OP_ABANDON:
		seconds(f, "t", op->t);
		fprintf(f, ",\"cancel\":\"r%u\"", op->id);
		break;
	case OP_PASSED:
		fprintf(f, "\"expect\":{\"passed\":\"r%u\",", op->id);
		seconds(f, "t", op->t);
		fputc('}', f);
		break;
	case OP_SEAT:
		seconds(f, "t", op->t);
		fprintf(f, ",\"server\":\"s%u\",\"deployment\":\"d%u\",\"model\":\"m%u\"",
		        op->server, op->deployment, op->model);
		break;
	case OP_UNSEAT:
	case OP_LEAVE:
	case OP_MOVE:
	case OP_DROP:
	case OP_DROP_MODEL:
	case OP_ORDER:
	case OP_SURPLUS:
	case OP_EXPIRE:
	case OP_PROCESS:
	case OP_EXPIRE_DEPARTED:
	case OP_LIST:
	case OP_LIFE:
	case OP_VISIBLE:
	case OP_FORGET:
	case OP_DEAL:
		write_change(f, op);
		break;
	case OP_READY:
		seconds(f, "t", op->t);
		fprintf(f, ",\"server\":\"s%u\",\"ready\":%s", op->server,
		        op->up ? "true" : "false");
		break;
	case OP_UNPROFILE: /* slo-replay has no word for it */
		fprintf(f, "\"expect\":{\"dropped\":\"m%u d%u\",", op->model, op->deployment);
		seconds(f, "t", op->t);
		fputc('}', f);
		break;
	case OP_TIME:
		fputs("\"expect\":{", f);
		seconds(f, "t", op->t);
		fputc('}', f);
		break;
	}
	fputs("}\n", f);
}

void op_describe(const struct op *op, char *out, size_t size)
{
	FILE *f = fmemopen(out, size, "w");

	if (f == NULL) {
		out[0] = '\0';
		return;
	}
	write_op(f, op);
	fclose(f);
	out[size - 1] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* What a file has named so far. */
struct seen {
	bool server[NAIVE_SERVERS], model[NAIVE_MODELS], seat[NAIVE_MODELS][NAIVE_SERVERS];
};

/* False: the operation does nothing, and slo-replay would object to it. */
static bool says_something(struct seen *seen, const struct op *op)
{
	bool again = op->kind == OP_SEAT && seen->seat[op->model][op->server];

	if (op->kind == OP_SEAT) {
		seen->server[op->server] = seen->seat[op->model][op->server] = true;
		seen->model[op->model] = true;
		return !again;
	}
	if (op->kind == OP_PROFILE)
		seen->model[op->model] = true;
	if (op->kind == OP_ARRIVE)
		return seen->model[op->model];
	return (op->kind != OP_READY && op->kind != OP_FOREIGN) || seen->server[op->server];
}

void ops_write(FILE *f, const struct setup *setup, const struct op *op, size_t count,
               const char *message)
{
	struct seen seen = { 0 };
	char line[512] = "";

	fprintf(f, "{\"config\":{\"seed\":%llu}}\n", (unsigned long long)setup->seed);
	write_config(f, &setup->conf, 0);
	fprintf(f, "{\"expect\":{\"remember_ms\":%lld,\"remember_limit\":%zu}}\n",
	        (long long)(setup->conf.remember / MS), setup->conf.remember_limit);
	for (size_t i = 0; i < count; i++) {
		if (says_something(&seen, &op[i]))
			write_op(f, &op[i]);
	}
	/* The message goes into a JSON string. */
	for (size_t i = 0; i < sizeof(line) - 1 && message[i] != '\0'; i++) {
		char c = message[i];

		line[i] = c;
		if (c == '"' || c == '\\' || c < ' ')
			line[i] = '_';
	}
	fprintf(f, "{\"expect\":{\"mismatch\":\"%s\"}}\n", line);
}

/* render_private.h - what the texts of the HTTP listener share. */
#ifndef SLO_IO_HTTP_RENDER_PRIVATE_H
#define SLO_IO_HTTP_RENDER_PRIVATE_H

#include <jansson.h>
#include <stdio.h>

#include "io/http/render_part.h"

/* Each ends with an empty part. */
extern const struct render_part render_metrics_parts[], render_state_parts[], render_cut_parts[],
    render_decisions_parts[];

/* Prometheus text 0.0.4; slo_spoa_ stands before each name. */
void render_family(FILE *f, const char *name, const char *type, const char *help);
void render_simple(FILE *f, const char *name, const char *type, const char *help, double value);
/* name="value", escaped. */
void render_label(FILE *f, const char *name, const char *value);

/* Takes the value. NULL, for want of memory, spoils the text. */
void render_member(struct page *p, const char *comma, const char *name, json_t *value);
json_t *render_server_state(const struct agent_model *m, const struct seat *seat);
json_t *render_fleet_state(const struct agent_model *m, slo_nsec now);
json_t *render_queue_state(const struct queue *q, slo_nsec now);
/* The members "servers" and "matched", and the end of the model; as model_more. */
bool render_chosen_servers(struct page *p, const struct agent_model *m, slo_nsec until);

/* How many promises were kept. */
json_t *render_promises_state(const struct attain *a, slo_nsec now);
json_t *render_promises_by_strategy(const struct model_stats *m, slo_nsec now);
json_t *render_promises_by_target(const struct model_stats *m, slo_nsec now);
json_t *render_history_state(const struct attain *a, slo_nsec now);
void render_promises(struct page *p, const struct agent_model *m);
void render_objective(struct page *p, const struct agent_model *m);
void render_overruled(struct page *p, const struct agent_model *m);
void render_server_promises(struct page *p, const struct agent_model *m, const struct seat *seat);
void render_engine_requests(struct page *p, const struct agent_model *m, const struct seat *seat);
void render_engine_kv_used(struct page *p, const struct agent_model *m, const struct seat *seat);
void render_engine_kv_tokens(struct page *p, const struct agent_model *m, const struct seat *seat);
void render_engine_age(struct page *p, const struct agent_model *m, const struct seat *seat);
void render_engine_withheld(struct page *p, const struct agent_model *m, const struct seat *seat);
void render_engine_pages(struct page *p, const struct agent_model *m, const struct seat *seat);
/* What the engine said of itself; null: it is not asked. */
json_t *render_engine_state(const struct engine_seen *e, slo_nsec now);

/* labels: name="value",... or "". */
void render_histogram(FILE *f, const char *name, const char *labels, const struct histogram *h);

void render_process_metrics(struct page *p);
void render_redis_metrics(FILE *f, const struct redis_client *c);
void render_cluster_metrics(FILE *f, const struct cluster *c);
json_t *render_cluster_state(const struct cluster *c);    /* likewise */
json_t *render_redis_state(const struct redis_client *c); /* null when it is not configured */
void render_warnings_metrics(FILE *f, const struct warnings *w);
json_t *render_warnings_state(const struct warnings *w, slo_nsec now);

#endif

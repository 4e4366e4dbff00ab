/* ctl_show_private.h - the texts that `show`, `explain` and `doctor` are made of. */
#ifndef SLO_IO_CTL_CTL_SHOW_PRIVATE_H
#define SLO_IO_CTL_CTL_SHOW_PRIVATE_H

#include "ctl_private.h"

struct table *ctl_table(struct page *p);
/* Parts that begin and end each of them: rows, or one list of values. */
void ctl_open_rows(struct page *p);
void ctl_open_list(struct page *p);
void ctl_close(struct page *p);
/* The fields of a row about d. */
void ctl_decision_fields(struct page *p, const struct decision *d);

extern const struct render_part ctl_models[], ctl_servers[], ctl_queue[], ctl_profiles[],
    ctl_decisions[]; /* ctl_show.c */
extern const struct render_part ctl_info[], ctl_peers[], ctl_errors[], ctl_env[], ctl_warnings[],
    ctl_warnings_text[]; /* ctl_show_info.c */
extern const struct render_part ctl_explain_json[], ctl_explain_text[],
    ctl_explain_typed[]; /* ctl_explain.c */

#endif

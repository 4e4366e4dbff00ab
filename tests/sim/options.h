/* options.h - values on the command lines of slo-sim and slo-sim-profile. What is wrong ends the
 * program with argp's message. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <argp.h>

#include "engine.h"
#include "report.h"

double option_number(struct argp_state *state, const char *arg, double least, double most);
/* Index of arg among names (NULL at the end). */
int option_choice(struct argp_state *state, const char *arg, const char *const *names);
enum engine_mode option_mode(struct argp_state *state, const char *arg);
struct goal option_slo(struct argp_state *state, const char *arg);

#endif

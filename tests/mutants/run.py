#!/usr/bin/python3
"""Do the tests notice? Makes one small change at a time to a copy of the core and runs against it the
property test and, if that passes, the unit tests of the core. Each change has to be caught.

    run.py [-j JOBS]          CC from the environment
    run.py --only REGEX       those whose description it finds
    run.py --fit              only whether each change can still be made; `make lint` asks
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# what goes wrong, file, line as it is, line as it becomes
MUTANTS = [
    ("a full server takes one more", "include/core/ledger.h",
     "load <= SLO_LOAD_ONE - used", "load <= SLO_LOAD_ONE"),
    ("what fits exactly does not fit", "include/core/ledger.h",
     "load <= SLO_LOAD_ONE - used", "load < SLO_LOAD_ONE - used"),
    ("an idle server refuses a load above 1", "include/core/ledger.h",
     "return used == 0 || (", "return ("),
    ("a release forgets the load", "agent/core/ledger.c",
     "l->used -= c->load;", "l->used -= c->load / 2;"),
    ("equal loads: the first server instead of the last", "agent/core/fleet.c",
     "return a->order > b->order ? -1 : 1;", "return a->order < b->order ? -1 : 1;"),
    ("least-request does not take turns", "agent/core/fleet.c",
     "return a->turn < b->turn ? -1 : 1;", "return a->turn > b->turn ? -1 : 1;"),
    ("pack goes to the emptiest", "agent/core/fleet.c",
     "at = RB_RIGHT(at, by_load);", "break;"),
    ("pack passes over a server that is just full enough", "agent/core/fleet.c",
     "if (at->load <= most) {", "if (at->load < most) {"),
    ("rank exactly 0 is too late", "include/core/rank.h",
     "i == 0 || option[i].start >= now", "i == 0 || option[i].start > now"),
    ("a late head is not tried at all", "include/core/rank.h",
     "return i == 0 || option[i].start >= now", "return option[i].start >= now"),
    ("late ones wait for one deployment", "include/core/rank.h",
     "late == SLO_LATE_SERVE &&", "late == SLO_LATE_REJECT &&"),
    ("late ones stand before those in time", "agent/core/queue.c",
     "level == 0 && serve ? SLO_NEVER", "level == 0 && serve ? INT64_MIN + 1"),
    ("nobody's level changes", "agent/core/queue.c",
     "&& m->at < q->looked", "&& m->at < INT64_MIN"),
    ("levels are one bucket", "agent/core/queue.c",
     "->level[serve ? level : 0]", "->level[serve && level == 0]"),
    ("a full deployment counts as infeasible", "agent/core/decide.c",
     "full = true;", "full = false;"),
    ("the most relaxed deployment is the last", "agent/core/rank.c",
     "options[at - 1].start < options[at].start", "options[at - 1].start > options[at].start"),
    ("equal ranks: the later deployment first", "agent/core/rank.c",
     "options[at - 1].start < options[at].start", "options[at - 1].start <= options[at].start"),
    ("the head with most slack goes first", "agent/core/queue.c",
     "return a->start < b->start ? -1 : 1;", "return a->start > b->start ? -1 : 1;"),
    ("whoever is due last goes first", "agent/core/queue_private.h",
     "return x->due < y->due ? -1 : 1;", "return x->due > y->due ? -1 : 1;"),
    ("the end of the hold does not count for the order", "include/core/queue.h",
     "return plain || r->start < r->until ?", "return plain || r->start < INT64_MAX ?"),
    ("the end of the hold counts for own targets", "include/core/queue.h",
     "r->start == SLO_NEVER || slo_target_is_set(&r->own)", "r->start == SLO_NEVER"),
    ("late ones stand by the end of their hold", "include/core/queue.h",
     "options == 0 || r->start == SLO_NEVER ||", "options == 0 ||"),
    ("who can be in time is held no longer", "include/core/queue.h",
     "return start < most ? start : most;", "return least;"),
    ("who can be in time is held for ever", "include/core/queue.h",
     "return start < most ? start : most;", "return start;"),
    ("a hold ends with the latest start, however soon", "include/core/queue.h",
     "if (start <= least || hold->most <= hold->least)", "if (hold->most <= hold->least)"),
    ("a new place leaves the end of the hold", "agent/core/queue.c",
     "if (placed && (until != r->until ||", "if (placed && ("),
    ("who leaves the queue is given up later", "agent/core/queue.c",
     "if (r->hold != MOMENTS_NONE)\n\t\tmoments_drop(q->holds, r);", ""),
    ("of those given up together the last goes first", "agent/core/moments.c",
     "a->request->seq < b->request->seq", "a->request->seq > b->request->seq"),
    ("a heap that does not sink", "agent/core/moments.c",
     "child++;", "child += 0;"),
    ("a new target changes no hold before the queue moves", "agent/core/sched_hold.c",
     "if (sched_hold_varies(s))\n\t\tlook_at_changed(s, now);", ""),
    ("equal slack: the later arrival first", "agent/core/queue_private.h",
     "return x->seq < y->seq ? -1 : x->seq > y->seq;", "return x->seq > y->seq ? -1 : x->seq < y->seq;"),
    ("a newcomer clears a queue whose limit was lowered", "agent/core/sched.c",
     "\tnewcomer->round = s->settled - 1;\n", ""),
    ("a player knows levels of the last try only", "agent/core/record/player.c",
     "queue_look(&r->model->queue, e->now + e->waited);", "queue_look(&r->model->queue, e->now);"),
    ("a player believes a look that is still to come", "agent/core/record/player.c",
     "if (e->waited < 0 || e->waited > p->now - e->now)", "if (e->waited < 0)"),
    ("0 tokens and 1 token are one size", "agent/core/queue.c",
     "return tokens <= 0 ? 0 : 1 + log2_round(tokens);", "return 1 + log2_round(tokens);"),
    ("a release wakes nobody", "agent/core/lease.c",
     "\tfleet_freed_by(seat);\n", ""),
    ("a server that recovers wakes nobody", "agent/core/sched_fleet.c",
     "\tfleet_freed(d);\n", ""),
    ("a new profile is not looked at", "agent/core/sched_fleet.c",
     "\tsched_profile_changed(s, d);\n\tqueue_refresh(&m->queue);\n\tsched_mark_dirty(s, m);\n\treturn SLO_OK;\n",
     "\tsched_profile_changed(s, d);\n\tsched_mark_dirty(s, m);\n\treturn SLO_OK;\n"),
    ("a server that moves wakes nobody", "agent/core/sched_fleet.c",
     "\tseat_went(s, from);\n\tseat_came(s, d);\n", "\tseat_went(s, from);\n"),
    ("a deployment that went is still an option", "agent/core/sched_fleet.c",
     "\tfleet_deployment_free(d);\n\tqueue_deployment_removed(&m->queue);\n",
     "\tfleet_deployment_free(d);\n"),
    ("a new order of deployments is not looked at", "agent/core/sched_fleet.c",
     "\tfleet_order(&m->pool, order);\n\tqueue_refresh(&m->queue);\n",
     "\tfleet_order(&m->pool, order);\n"),
    ("the waiting of a model that went are refused", "agent/core/sched_fleet.c",
     "r->reason = SLO_REASON_UNKNOWN_MODEL;", "r->reason = SLO_REASON_QUEUE_FULL;"),
    ("a profile that goes is not looked at", "agent/core/sched_fleet.c",
     "\tsched_profile_changed(s, d);\n\tqueue_refresh(&m->queue);\n\tsched_mark_dirty(s, m);\n}\n",
     "\tsched_profile_changed(s, d);\n\tsched_mark_dirty(s, m);\n}\n"),
    ("an equally old profile replaces", "agent/core/sched_fleet.c",
     "!(profile_created(p) > profile_created(d->profile))",
     "!(profile_created(p) >= profile_created(d->profile))"),
    ("the queue timeout comes a moment late", "agent/core/sched.c",
     "if (!r || until > now)", "if (!r || until >= now)"),
    ("priorities do not count in a size", "agent/core/queue_private.h",
     "if (x->grade != y->grade)", "if (false)"),
    ("the least important of a size goes first", "agent/core/queue_private.h",
     "return x->grade > y->grade ? -1 : 1;", "return x->grade < y->grade ? -1 : 1;"),
    ("priorities do not count between models", "agent/core/queue.c",
     "if (a->priority != b->priority)", "if (false)"),
    ("priorities do not count between sizes", "agent/core/queue_private.h",
     "return h->priority > b->priority;", "return h->priority < b->priority;"),
    ("a head has the priority of the one before", "agent/core/queue.c",
     "b->priority = b->first->priority;", "b->priority += 0;"),
    ("a full queue refuses the newcomer, whatever waits", "agent/core/sched.c",
     "\t\t*r = full_for(s, *r);\n", "\t\t(void)full_for(s, *r);\n"),
    ("a full queue refuses the head that came, whatever waits", "agent/core/sched.c",
     "\t\t\tr = full_for(s, r);\n\t\t\tif (s->explains)", "\t\t\t(void)full_for(s, r);\n\t\t\tif (s->explains)"),
    ("a full queue refuses the first of the least important", "agent/core/grades.c",
     "TAILQ_LAST(&grade->waiting, request_list)", "TAILQ_FIRST(&grade->waiting)"),
    ("a full queue refuses the most important", "agent/core/grades.c",
     "RB_MIN(grade_tree,", "RB_MAX(grade_tree,"),
    ("who left the queue is refused all the same", "agent/core/grades.c",
     "if (--grade->count > 0 ||", "if (grade->count-- > 2 ||"),
    ("of many grades the usual one is refused first", "agent/core/grades.c",
     "(grade->priority > 0 && g->usual.count > 0)", "g->usual.count > 0"),
    ("a recording loses priorities", "agent/core/tap.c",
     "submit ? r->priority : 0", "0"),
    ("one request too many waits", "agent/core/sched.c",
     "r->round == s->settled && m->queue.length > s->conf.queue_limit",
     "r->round == s->settled && m->queue.length > s->conf.queue_limit + 1"),
    ("a border between cells goes down", "agent/core/profile.c",
     "first[half - 1] <= tokens ? half : 0", "first[half - 1] < tokens ? half : 0"),
    ("TTFT before TPOT", "agent/core/profile.c",
     "\tif (tpot > 0) {\n", "\tif (tpot > 0 && !(ttft > 0)) {\n"),
    ("surplus that shrinks leaves no room", "agent/core/heal.c",
     "fleet_surplus(server, count);\n\tif (server->ledger.used < before)",
     "fleet_surplus(server, count);\n\tif (server->ledger.used > before)"),
    ("the youngest lease is given up first", "agent/core/heal.c",
     "struct request *r = TAILQ_FIRST(&server->leases);",
     "struct request *r = TAILQ_LAST(&server->leases, leases);"),
    ("a process that left is forgotten at once", "agent/core/heal.c",
     "TAILQ_CONCAT(&server->departed, &server->leases, lease);", ""),
    ("surplus weighs what it weighed at first", "agent/core/fleet_surplus.c",
     "n ? n * surplus_load(s) : 0",
     "n == s->surplus_count ? s->surplus_load : n * surplus_load(s)"),
    ("adaptive: an idle server is not open", "agent/core/adaptive.c",
     "if (used == 0)\n\t\treturn true;", "if (used == 0)\n\t\treturn false;"),
    ("adaptive: an engine queues half as much", "agent/core/adaptive.c",
     "deep ? ADAPTIVE_OVERFILL :", "deep ? ADAPTIVE_OVERFILL / 2 :"),
    ("adaptive: all servers of a kind may be deep", "agent/core/adaptive.c",
     "return most_in(seat->deployment, fleet_is_deep(seat));", "return most_in(seat->deployment, true);"),
    ("adaptive: one that goes is still shallow", "agent/core/fleet_depth.c",
     "shallow_of(d->usable + 1) - !fleet_is_deep(seat)", "shallow_of(d->usable + 1)"),
    ("adaptive: who waits is not woken when a server becomes deep", "agent/core/fleet_depth.c",
     "\tif (n > part)\n\t\tfleet_freed(d);\n", ""),
    ("adaptive: tight work closes deep servers", "agent/core/adaptive.c",
     "is_in_the_way(p, seat) ? PENALTY_DEEP : 0", "false ? PENALTY_DEEP : 0"),
    ("adaptive: relaxed work queues before tight work", "agent/core/adaptive.c",
     "((s->sums.targets.classes | seat->deployment->pool->targets.classes)",
     "((seat->deployment->pool->targets.classes)"),
    ("adaptive: tight work waits while relaxed work queues", "agent/core/adaptive.c",
     "((s->sums.targets.classes | seat->deployment->pool->targets.classes)",
     "((s->sums.targets.classes)"),
    ("adaptive: who is tight is not seen any more", "agent/core/adaptive.c",
     "(UINT64_C(1) << (class - 1)) - 1", "(UINT64_C(1) << (class - 2)) - 1"),
    ("adaptive: its own work does not count", "agent/core/adaptive.c",
     "(int64_t)nsec(planned - p->own) - (int64_t)p->work", "(int64_t)nsec(planned - p->own)"),
    ("adaptive: what is late even alone waits for an idle server", "agent/core/adaptive.c",
     "if (w->work < 0)", "if (false)"),
    ("adaptive: a first token waits for servers that hardly read", "agent/core/adaptive.c",
     "if (w->reading < (int64_t)fixed(READING_LEAST))", "if (w->reading < 0)"),
    ("learned: what is late even alone is served one by one", "agent/core/latency/rates.c",
     "n < 1 ? at_once_late(r, a, target, n) : n", "n"),
    ("learned: whom only safety makes late is late at once", "agent/core/latency/rates.c",
     "return most > 0 ? lesser(t, most) : t;", "return t;"),
    ("nobody goes for a newcomer that another comes before", "agent/core/sched.c",
     "if (!behind || behind->round", "if (true || behind->round"),
    ("learned: who may have other tokens is refused", "agent/core/rank.c",
     "goal->per_token > 0 ? GUESS_OFF : 1", "1"),
    ("learned: a limit says nothing of a stream's tokens", "agent/core/lesson.c",
     "has_limit(r) && l->output > r->limit)", "false)"),
    ("adaptive: all may be read at once", "agent/core/adaptive.c",
     "(int64_t)s->sums.reading <= w->reading", "w->reading >= 0"),
    ("adaptive: what the others lose is nothing", "agent/core/adaptive.c",
     "p->others * ((double)(int64_t)harm / FIX)", "0 * ((double)(int64_t)harm / FIX)"),
    ("adaptive: large requests go anywhere", "agent/core/adaptive.c",
     "least < o->load / 2 ? PENALTY : 0", "least > o->load / 2 ? PENALTY : 0"),
    ("adaptive: prompts of others take no time", "agent/core/adaptive.c",
     "decode / (1 - reading)", "decode"),
    ("adaptive: a cache that is too small is no matter", "agent/core/adaptive.c",
     "q->kv_told && over > 0 && held > 0", "q->kv_told && over < 0 && held > 0"),
    ("adaptive: of equals the last one", "agent/core/adaptive.c",
     "order >= best->seat->order", "order <= best->seat->order"),
    ("adaptive: who waits is told the room of another server", "agent/core/decide.c",
     "queue_was_blocked(r) ? pool->freed_by : NULL", "pool->freed_by"),
    ("adaptive: harm stays when a request leaves", "agent/core/adaptive.c",
     "sums->harm -= r->stake.harm;", ""),
    ("adaptive: who waits for a tighter one is not woken", "agent/core/adaptive.c",
     "\t\tfleet_freed(pool->deployment[i]);", "\t\t(void)pool->deployment[i];"),
    ("adaptive: who waits for an engine's queue is not woken", "agent/core/adaptive.c",
     "return load > over ? load - over : 0;", "return load > over ? load - over : load;"),
    ("adaptive: what was full stays so", "agent/core/fleet.c",
     "\td->room.known = false;\n\twhile (", "\twhile ("),
    ("adaptive: there is less room than one server has", "agent/core/adaptive_room.c",
     "load > room->load ? load : room->load", "load < room->load ? load : room->load"),
    ("adaptive: no shallow server is looked for", "agent/core/adaptive.c",
     "\t\tweigh_shallow(p, d, now, best);", "\t\t(void)weigh_shallow;"),
    ("adaptive: shallow servers are looked for in vain", "agent/core/adaptive.c",
     "best->seat->deployment != d || is_in_the_way(p, best->seat)", "true"),
    ("adaptive: a shallow server is one of the first two seats", "include/core/adaptive.h",
     "#define ADAPTIVE_FIRST      8", "#define ADAPTIVE_FIRST      2"),
    ("adaptive: only servers with least harm are weighed", "agent/core/adaptive.c",
     "\tweigh_emptiest(p, d, weighed, now, best);\n", "\t(void)weigh_emptiest;\n"),
    ("adaptive: a server is passed over that may be the best", "agent/core/adaptive.c",
     "return lateness(p, p->prompt + decode,", "return lateness(p, 1.1 * p->prompt + decode,"),
    ("adaptive: of equals a later one ends the search", "agent/core/adaptive.c",
     "are_beaten(p, best, few[i].harm, d->seats->order)", "are_beaten(p, best, few[i].harm, UINT64_MAX)"),
    ("adaptive: relaxed work that waits gets no server of its own", "agent/core/adaptive.c",
     "\t    seat->server->sums.targets.classes | seat->deployment->pool->targets.classes;\n\n\treturn fleet_is_deep",
     "\t    seat->server->sums.targets.classes;\n\n\treturn fleet_is_deep"),
    ("adaptive: work of half the target is tight", "agent/core/adaptive.c",
     "UINT64_MAX << (class + ADAPTIVE_TIGHTER)", "UINT64_MAX << (class + ADAPTIVE_TIGHTER - 1)"),
    ("adaptive: few servers have no shallow one among them", "agent/core/fleet_depth.c",
     "return part > 0 || usable == 0 ? part : 1;", "return part;"),
    ("adaptive: one that comes is never shallow", "agent/core/fleet_depth.c",
     "shallow_of(d->usable - 1) + !fleet_is_deep(seat)", "shallow_of(d->usable - 1)"),
    ("orders: of equal harm the last one", "agent/core/seat_heap.c",
     "by == SEAT_BY_HARM ? a->order < b->order :", "false ? a->order < b->order :"),
    ("orders: too few stand in order", "agent/core/seat_heap.c",
     "while (h->few < SEAT_FEW && h->rest > 0)", "while (h->few < SEAT_FEW - 1 && h->rest > 0)"),
    ("orders: nobody rises in the rest", "agent/core/seat_heap.c",
     "while (i > 0 && is_before(e, &rest[(i - 1) / 2], by))", "while (false)"),
    ("queue: whoever comes stands last", "agent/core/queue.c",
     "if (!b->last || queue_compare_waiting(r, b->last) < 0) {", "if (!b->last) {"),
    ("queue: who is hoped for is no longer when it moves", "agent/core/queue_room.c",
     "q->hoped[to] = q->hoped[from];", "q->hoped[to] = 0;"),
    ("queue: of numbers that are rounded the order is another one", "agent/core/queue_room.c",
     "top << 9 |", "top << 8 |"),
    ("guard: it never falls", "agent/core/guard.c", "g->missed > GUARD_MISSES", "g->missed > GUARD_ENDS"),
    ("guard: who was placed before it fell counts", "agent/core/guard.c", "g->number = ++*numbers;", "(void)numbers;"),
    ("guard: sizes are judged, not times", "agent/core/sched_learn.c", "GUARD_SAFE * least", "2 * GUARD_SAFE * least"),
    ("guard: who waits does not hear that it moved", "agent/core/sched_learn.c",
     "\tfleet_freed(d);\n\tchanged(s, sched_model_of(d));\n\tif (tapped(s))\n\t\ttap_guard(s, d);",
     "\tif (tapped(s))\n\t\ttap_guard(s, d);"),
    ("guard: it takes nothing", "agent/core/sched_learn.c", "d->planned.headroom *= d->guard.share;", ""),
    ("guard: it never rises", "agent/core/guard.c", "at_most(g->share + RISE, 1)", "g->share"),
    ("guard: it falls for ever", "agent/core/guard.c",
     "at_least(g->share * FALL, GUARD_LEAST)", "g->share * FALL"),
    ("guard: an operator's headroom is taken from", "agent/core/sched_learn.c",
     "(d->learner && d->learner->headroom > 0) || !was_safe", "!was_safe"),
    ("guard: what any other foresaw counts", "agent/core/sched_learn.c",
     "if (pool->deployment[i]->guard.number == r->stake.guard)", "if (true)"),
    ("profiles: two ends of three overrule one", "agent/core/sched_learn.c",
     "\t\td->refuting++;", "\t\td->refuting += REFUTED_BY / 2;"),
    ("profiles: ends that agree do not count", "agent/core/sched_learn.c",
     "\t\td->refuting -= d->refuting < 2 ? d->refuting : 2;", "\t\t;"),
    ("profiles: another one has been wrong, too", "agent/core/sched_learn.c",
     "\t\td->refuting = 0;\n\t\td->grown = 0;", "\t\td->grown = 0;"),
    ("profiles: the same one comes back as a new one", "agent/core/sched_learn.c",
     "if (digest != d->refuted) {", "if (true) {"),
    ("profiles: too slow ones are wrong where the cache is not known", "agent/core/sched_learn.c",
     "(d->force.rates.kv_told && REFUTED * learned < told)", "REFUTED * learned < told"),
    ("profiles: with auto, too, learning begins with one", "agent/core/sched_learn.c",
     "if (d->learner && d->begins)", "if (d->learner)"),
    ("profiles: one that comes late undoes what was learned", "agent/core/latency/learner.c",
     "\t\tif (first) {", "\t\tif (true) {"),
    ("profiles: one weighs as much as all its cells", "agent/core/latency/learner.c",
     "\t\t\tlatency_fit_weigh(&l->fit, g->points, PRIOR_ENDS);\n", ""),
    ("caches: late ones, too, show more of it", "agent/core/latency/learner.c",
     "held > l->prior_kv && l->ratio < PRIOR_IN_TIME", "held > l->prior_kv"),
    ("caches: a profile raises a limit that was found", "agent/core/latency/room.c",
     "if (!(r->told > 0) && !r->found)", "if (!(r->told > 0))"),
    ("caches: who found room makes a told size larger", "agent/core/latency/room.c",
     "if (g->on_top || !(r->told > 0))", "if (true)"),
    ("caches: one is tried out on requests that nobody holds up", "agent/core/latency/room.c",
     "else if (!g->wanted)", "else if (false)"),
    ("caches: a limit falls in steps from the first", "agent/core/latency/room.c",
     "if (r->told > 0 || r->found)", "if (true)"),
    ("caches: a told size gives way as soon as a found one", "agent/core/latency/room.c",
     "enough = r->told > 0 ? ENOUGH_TOLD : ENOUGH;", "enough = ENOUGH;"),
    ("caches: a told size is taken for too large by a little lateness", "agent/core/latency/room.c",
     "r->told > 0 ? MUCH_LATER_TOLD : MUCH_LATER", "MUCH_LATER"),
    ("caches: one is cut where all predictions are off", "agent/core/latency/room.c",
     "if (!g->errors || r->told > 0)", "if (true)"),
    ("caches: errors of a guess excuse who is late", "agent/core/latency/learner.c",
     "return l->ends >= SURE_ENDS && l->doubt == LATENCY_DOUBT_NONE ? &l->errors : NULL;", "return &l->errors;"),
    ("sizes: one that was never seen is answered with one token", "agent/core/sched_expect.c",
     "s->conf.cold == SLO_COLD_OPTIMISTIC && learns(m)", "false"),
    ("sizes: a vague estimate is believed", "agent/core/sched_expect.c",
     "variance > 0 && learns(m)", "false"),
    ("sizes: a vague estimate is drawn to what was seen once as to what was seen often", "agent/core/predictor.c",
     "likely = seen * exp(", "likely = exp("),
    ("sizes: no smaller one is near", "agent/core/predictor.c",
     "if (off <= in && row_of(p->all, in - off) > 0)", "if (off == 0 && row_of(p->all, in) > 0)"),
    ("caches: a larger one than was told is not told", "agent/core/latency/room.c",
     "r->told = factor > 1 && r->told > 0 ? r->limit : 0;", "r->told = 0;"),
    ("learning: waiting inside an engine is speed", "agent/core/latency/learner.c",
     "if (may_have_waited(l, held))", "if (false)"),
    ("learning: one slow server is all of them", "agent/core/latency/learner.c",
     "\tx->seconds *= exp(-own);\n", ""),
    ("learning: who asks for an hour makes errors of others small", "agent/core/sched_learn.c",
     "return own > 0 && own < most ? own : most;", "return own > 0 ? own : most;"),
    ("room: who waited in vain goes where all that may run does", "agent/core/decide.c",
     "if (!fleet_learned(d) || runs_all(d, server) || used", "if (!fleet_learned(d) || used"),
    ("room: a slow engine runs fewer at once", "agent/core/decide.c",
     "!fleet_learned(d) || load == d->floor", "!fleet_learned(d)"),
    ("learning: what waits for an engine that is told to run few is speed", "agent/core/sched_learn.c",
     "if (d && d->floor > 0 && server->ledger.inflight > fleet_running(d))", "if (false)"),
    ("learning: errors of what is early anyway ask for safety", "agent/core/latency/learner.c",
     "double least = SMALL * target;", "double least = 0;"),
    ("sizes: events of compressed streams are measured", "agent/core/lesson.c",
     "l.event = o->event > 0 && !o->encoded", "l.event = o->event > 0"),
    ("sizes: an event's size is not learned", "agent/core/estimator.c",
     "learn(&e->event, (double)(bytes + EVENT_END));", ";"),
    ("room: how many an engine runs at once is nothing to slo-adaptive", "agent/core/adaptive.c",
     "if (d->floor > 0 || (fleet", "if ((fleet"),
    ("room: how many an engine runs at once is nothing to who falls back", "agent/core/rank.c",
     "floored(d, load_cold(&d->force, r))", "load_cold(&d->force, r)"),
    ("room: how many an engine runs at once is nothing", "agent/core/rank.c",
     "out->load = floored(d, out->load);", ";"),
    ("learning: the guess is never in question", "agent/core/latency/learner.c",
     "if (l->ends < LATENCY_COLD_ENDS && !l->prior)", "if (false)"),
    ("learning: any end puts the guess in question", "agent/core/latency/fit.c",
     "e.error * e.error > CONTRADICTS * e.variance", "e.error * e.error >= 0"),
    ("learning: slow engines are doubted as fast ones are", "agent/core/latency/fit.c",
     "at_least(f->rate[i] * f->rate[i], 1)", "1"),
    ("learning: what stays alike told is never forgotten", "agent/core/latency/fit.c",
     "\tmultiply_along(f, factor / all, u);\n", "\t(void)u;\n"),
    ("learning: a cold deployment is let alone", "agent/core/decide.c",
     "(cold || rank_alone_in_time(d, r, now))", "rank_alone_in_time(d, r, now)"),
    ("learning: who would be late tries a deployment", "agent/core/decide.c",
     "(cold || rank_alone_in_time(d, r, now))", "true"),
    ("learning: many come on top of a full server", "agent/core/decide.c",
     "used > SLO_LOAD_ONE ||\n\t    used + rank_load(d, r) > ON_TOP_MOST", "false"),
    ("adaptive: it comes on top where it is in time", "agent/core/decide.c",
     "(!weighed && rank_behind_in_time(d, server, r, now))", "rank_behind_in_time(d, server, r, now)"),
    ("adaptive: few come on top of what is only found, too", "agent/core/decide.c",
     "r->strategy == SLO_STRATEGY_ADAPTIVE && d->force.rates.kv_told &&", "r->strategy == SLO_STRATEGY_ADAPTIVE &&"),
    ("adaptive: it waits inside engines that are not known", "agent/core/adaptive.c",
     "fleet_learned(d) && !fleet_rates(d)->kv_told", "!d"),
    ("turns: all others look at once", "agent/core/foreign_turn.c", "o->turn += apart;", "o->turn = apart;"),
    ("turns: who left has one", "agent/core/foreign_turn.c",
     "if (other != o && other->present && is_between", "if (other != o && is_between"),
    ("turns: one that waits for its turn runs as before", "agent/core/foreign_turn.c",
     "\tr->ending = true;\n", ""),
    ("turns: those of an agent that is forgotten stay", "agent/core/foreign_turn.c",
     "if (t->owner != o->number)", "if (true)"),
    ("news of what HAProxy counted is counted twice", "agent/core/foreign.c",
     "now - l->age <= server->view.counted", "now - l->age <= -1"),
    ("an end before its dispatch is forgotten", "agent/core/sched.c",
     "past_add(&s->past, hash, unknown, now);",
     "if (unknown == PAST_STRAY)\n\t\tpast_add(&s->past, hash, unknown, now);"),
    ("a line before its request's news is forgotten", "agent/core/foreign.c",
     "if (line != PAST_STRAY)", "if (line == PAST_OVER)"),
    ("what ended here ends there once more", "agent/core/foreign.c",
     "note(s, now, news_hash(o, r->hash), state);", ""),
    ("a line after its owner's news is unknown", "agent/core/foreign.c",
     "note(s, now, foreign_line_hash(r->hash), state);", ""),
    ("any owner's request of that id", "agent/core/id_table.c",
     "return owner == ID_OF_ANY ? r->owner != 0 : r->owner == owner;",
     "return owner == 0 ? r->owner == 0 : r->owner != 0;"),
    ("a list closes former lives", "agent/core/foreign.c",
     "return r->former ? whole :", "return r->former ? !whole :"),
    ("a list closes what was told later", "agent/core/foreign.c",
     "(int32_t)(r->news - (uint32_t)news) <= 0", "(int32_t)(r->news - (uint32_t)news) <= 1"),
    ("what ended stays to be kept", "agent/core/lease.c",
     "\tif (SELDOM(r->unkept))\n\t\tforeign_keep(s, r);\n", ""),
    ("what a list names stays of a former life", "agent/core/foreign.c",
     "\t\tr->former = false;\n\t\tr->listed = true;", "\t\tr->listed = true;"),
    ("counts give up what they cannot see", "agent/core/foreign.c",
     "r->hidden = !o->visible;", "r->hidden = false;"),
    ("old news stands behind young requests", "agent/core/request.c",
     "while (at && at->since > since && steps-- > 0)", "while (at && at->since < since && steps-- > 0)"),
    ("every foreign request overshoots", "agent/core/foreign.c",
     "!ledger_fits(fleet_load(l->server) - ending, l->load)", "true"),
    ("its process still serves what it left behind", "agent/core/foreign.c",
     "r->generation = generation_at(s, r->since);", "r->generation = s->generation;"),
    ("a lease from before its profile has no stake", "agent/core/sched_learn.c",
     "if (!knew && d->planned.step > 0 && !s->follows)", "if (false && !knew)"),
    ("a foreign request takes no turn", "agent/core/foreign.c",
     "\tif (seat)\n\t\tsched_lease_open(", "\tif (seat && !o)\n\t\tsched_lease_open("),
    ("one for each of the others is spared, and not as many as were taken", "agent/core/foreign_fresh.c",
     "each = server->fresh_load + server->fresh_load / server->fresh_count;", "each = server->fresh_load;"),
    ("what takes exactly the room that ours left is not known", "agent/core/foreign_fresh.c",
     "bool enough = server->left >= r->charge.load;", "bool enough = server->left > r->charge.load;"),
    ("what is spared does not follow how many others hear", "agent/core/foreign_fresh.c",
     "\t\tsettle(s, fleet_server_of(&r->charge));\n\twhile (others == 0", "\t\t;\n\twhile (others == 0"),
    ("room that ours left and nobody took is theirs", "agent/core/foreign_fresh.c",
     "\t\tforeign_server_gone(server);\n\t\tsettle(s, server);", "\t\tforeign_server_gone(server);"),
    ("what others have heard of is spared for ever", "agent/core/foreign_fresh.c",
     "while (f->fresh && f->fresh->since <= until)", "while (f->fresh && f->fresh->since < until)"),
    ("what a request of ours left is spared for others", "agent/core/foreign_fresh.c",
     "return enough;", "return false;"),
    ("what a request of another left is exempt, too", "agent/core/lease.c",
     "s->foreign.others > 0 && r->owner == 0", "s->foreign.others > 0"),
    ("the room of one that nobody heard of is exempt", "agent/core/lease.c",
     "else if (SELDOM(s->foreign.others > 0 &&", "if (SELDOM(s->foreign.others > 0 &&"),
    ("what is spared blocks room that ours left", "agent/core/foreign_fresh.c",
     "return spare < known ? spare : known;", "return spare;"),
    ("who waits is not told that others have heard", "agent/core/foreign_fresh.c",
     "if (server->spared < before)", "if (server->spared > before)"),
    ("a silent Redis holds for ever", "agent/core/foreign_fresh.c",
     "s->foreign.deaf = true;", "s->foreign.deaf = false;"),
]


WIRE = ROOT / "build/debug/libwire.a"  # what the recordings are written with stays as it is


def wire_libs():
    names = ("jansson", "msgpack-c", "msgpack", "zlib")
    found = [n for n in names if subprocess.run(["pkg-config", "--exists", n]).returncode == 0]
    return subprocess.run(["pkg-config", "--libs", *found], check=True, capture_output=True,
                          text=True).stdout.split()


class Build:
    """The core and its tests in a folder of their own. Compiled once; a change compiles what it touches."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def sources(self, where):
        return sorted((self.folder / where).rglob("*.c"))

    def everything(self):
        return [s for part in ("agent/core", "tests/prop", "tests/unit/core") for s in self.sources(part)]

    def cc(self, *args):
        subprocess.run([os.environ.get("CC", "gcc"), "-std=c11", "-O1", "-D_GNU_SOURCE",
                        f"-I{self.folder}/include", f"-I{self.folder}/tests/support", *args], check=True)

    def compile(self, source):
        self.cc("-c", source, "-o", source.with_suffix(".o"))

    def link(self, program, sources, *libs):
        objects = [s.with_suffix(".o") for s in [*sources, *self.sources("agent/core")]]
        self.cc(*objects, *libs, "-lm", "-o", program)

    def change(self, name, old, new):
        """False: it cannot be made."""
        path = self.folder / name
        text = path.read_text()
        if text.count(old) != 1:
            return False
        path.write_text(text.replace(old, new))
        for source in [path] if path.suffix == ".c" else self.everything():
            self.compile(source)
        return True

    def passes(self, program, *args):
        try:
            return subprocess.run([program, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  timeout=300).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def prop_passes(self):
        program = self.folder / "prop"
        self.link(program, self.sources("tests/prop"), WIRE, *wire_libs())
        return self.passes(program, "--ops", "1000000", "--out", self.folder / "found.jsonl")

    def unit_passes(self, source):
        program = source.with_suffix("")
        self.link(program, [source], "-lcmocka")
        return self.passes(program)

    def caught_by(self):
        """The test that fails, or None."""
        if not self.prop_passes():
            return "prop"
        units = self.sources("tests/unit/core")
        return next((source.stem for source in units if not self.unit_passes(source)), None)


def base_in(folder, jobs):
    build = Build(folder)
    for part in ("agent/core", "include", "tests/prop", "tests/unit/core", "tests/support"):
        shutil.copytree(ROOT / part, build.folder / part)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(build.compile, build.everything()))
    return build


def try_one(base, mutant):
    what, name, old, new = mutant
    with tempfile.TemporaryDirectory(prefix="slo-mutant-") as tmp:
        build = Build(shutil.copytree(base.folder, tmp, dirs_exist_ok=True))
        if not build.change(name, old, new):
            return what, None, "cannot be made"
        by = build.caught_by()
        return what, by, f"caught by {by}" if by else "survived"


def fit():
    bad = [(name, what) for what, name, old, _ in MUTANTS if (ROOT / name).read_text().count(old) != 1]
    for name, what in bad:
        print(f"{name} has changed: tests/mutants/run.py cannot make the change \"{what}\"", file=sys.stderr)
    return int(bool(bad))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("-j", type=int, default=os.cpu_count() or 1)
    args.add_argument("--only", default="", help="changes whose description this expression finds")
    args.add_argument("--fit", action="store_true", help="only look whether each change can be made")
    args = args.parse_args()
    if args.fit:
        return fit()
    subprocess.run(["make", "-s", "VARIANT=debug", "build/debug/libwire.a"], cwd=ROOT, check=True)
    chosen = [m for m in MUTANTS if re.search(args.only, m[0])]
    caught = 0
    with tempfile.TemporaryDirectory(prefix="slo-mutants-") as tmp:
        base = base_in(tmp, args.j)
        failed = base.caught_by()
        if failed:
            print(f"the core as it is does not pass {failed}")
            return 1
        with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
            for what, by, result in pool.map(lambda m: try_one(base, m), chosen):
                print(f"  {result:<28} {what}", flush=True)
                caught += by is not None
    print(f"{caught} of {len(chosen)} changes were caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())

/* labels.h - names that outlive what they name, for as long as a decision in the ring points to
 * them. Their owner (a server, deployment or model) keeps a pointer to its label, which is made
 * when a decision needs it first, and hands it back when it goes. */
#ifndef SLO_IO_AGENT_LABELS_H
#define SLO_IO_AGENT_LABELS_H

#include <stdint.h>
#include <sys/queue.h>

struct label {
	SLIST_ENTRY(label) link; /* retired */
	uint64_t retired;        /* no decision from that number on points here */
	char name[];
};

struct labels {
	SLIST_HEAD(retired_labels, label) retired; /* their owners are gone */
};

/* The label of the owner that has its pointer there; of that name, if it has none yet. NULL: out of
 * memory. */
struct label *label_of(void **owner, const char *name);
/* Its owner goes, and with it that pointer; decisions from `next` on will not point to it. Without
 * one nothing happens. */
void label_retire(struct labels *l, void **owner, uint64_t next);
/* Frees what no decision from `oldest` on points to. */
void labels_sweep(struct labels *l, uint64_t oldest);

#endif

/* record.h - a recording: what happened to a scheduler, one MessagePack array after the other.
 *
 *     "SLOREC1\n"
 *     [0, now, random, unix]                               SLO_EVENT_START, see slo_event.h
 *     [2, options] [3, 1, "llama2-7b"] ... [1, since]      the state then, up to SLO_EVENT_QUIET
 *     [18, since, id, model, strategy, input, output, ...] and all that followed
 *
 * `now` is the time since the record before, in nanoseconds; other points in time are spans before
 * `now`. Another layout has another digit in its first eight bytes. Pure: bytes in, bytes out. */
#ifndef SLO_WIRE_FILE_RECORD_H
#define SLO_WIRE_FILE_RECORD_H

#include <stdbool.h>

#include "slo.h"
#include "slo_event.h"

#define RECORD_HEAD     "SLOREC1\n"
#define RECORD_HEAD_LEN 8
#define RECORD_LIST_MAX ((size_t)1 << 22) /* elements */
#define RECORD_TEXT_MAX 65535             /* bytes */

/* Writing. */
struct record_writer;
struct record_writer *record_writer_new(void);    /* NULL: out of memory */
void record_writer_free(struct record_writer *w); /* NULL is accepted */
/* The next record is the first of a file: the head goes before it. */
void record_writer_restart(struct record_writer *w);
/* SLO_ENOMEM: the event is lost, and with it the sense of those that follow. */
MUSTCHECK slo_err record_add(struct record_writer *w, const struct slo_event *e);
/* What was added since record_taken(). Valid until the next call. */
struct slice record_pending(const struct record_writer *w);
void record_taken(struct record_writer *w);

/* Reading. */
struct record_reader;
struct record_reader *record_reader_new(void);    /* NULL: out of memory */
void record_reader_free(struct record_reader *r); /* NULL is accepted */
/* Whether that is the head of a recording; *known: of this layout. */
bool record_is_head(struct slice file, bool *known);
/* The record that `in` begins with. Its text points into `in`; its list is valid until the next
 * call. SLO_ESHORT: the record goes on behind `in`. SLO_EPROTO: it is no record. SLO_ENOMEM. */
MUSTCHECK slo_err record_next(struct record_reader *r, struct slice in, struct slo_event *out,
                              size_t *used);

#endif

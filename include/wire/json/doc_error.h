/* doc_error.h - what is wrong in a JSON text, and where. */
#ifndef SLO_WIRE_JSON_DOC_ERROR_H
#define SLO_WIRE_JSON_DOC_ERROR_H

#include <stddef.h>

struct doc_error {
	const char *file;  /* as the reader was told, not a copy; NULL: none */
	size_t line;       /* from 1; 0: the error has no place in the text */
	size_t column;     /* from 1, in bytes */
	char key[600];     /* "models.M.deployments.D.servers[2]", cut to fit; "": the whole text */
	char message[256]; /* "is -1, must be a finite number >= 0" */
};

/* FILE:LINE:COLUMN: key "routing.queu_limit": unknown key (did you mean "queue_limit"?)
 * on one line, without newline, cut to fit and terminated. Parts that e lacks are left out. */
void doc_error_format(const struct doc_error *e, char *out, size_t cap);

#endif

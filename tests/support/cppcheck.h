/* cppcheck.h - what cppcheck has to know of <sys/queue.h> and <bsd/sys/tree.h>, which it does not
 * read. Never compiled. */
#define TAILQ_FOREACH(v, h, f) for ((v) = (h)->tqh_first; (v); (v) = (v)->f.tqe_next)
#define SLIST_HEAD(name, type)          \
	struct name {                   \
		struct type *slh_first; \
	}
#define SLIST_FOREACH(v, h, f) for ((v) = (h)->slh_first; (v); (v) = (v)->f.sle_next)
#define LIST_FOREACH(v, h, f)  for ((v) = (h)->lh_first; (v); (v) = (v)->f.le_next)
#define RB_FOREACH(x, n, h)    for ((x) = n##_RB_MINMAX(h, -1); (x); (x) = n##_RB_NEXT(x))
#define RB_GENERATE_INTERNAL(name, type, field, cmp, attr)

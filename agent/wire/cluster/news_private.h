/* news_private.h - what writing and reading must agree on. */
#ifndef SLO_WIRE_CLUSTER_NEWS_PRIVATE_H
#define SLO_WIRE_CLUSTER_NEWS_PRIVATE_H

#define NEWS_VERSION 1

/* Elements that are known here; a message has these at least. */
#define NEWS_HEAD_PARTS  8 /* with the records and the processes */
#define NEWS_LEASE_PARTS 13
#define NEWS_END_PARTS   9 /* `event` may follow */
#define NEWS_MARK_PARTS  5 /* `told` may follow */

enum news_record_kind { NEWS_PLACED, NEWS_ENDED, NEWS_OTHERS_END };

#endif

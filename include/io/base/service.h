/* service.h - tells the service manager how we are, as sd_notify(3) does: systemd passes the
 * address of a datagram socket in NOTIFY_SOCKET. Without one nothing happens. */
#ifndef SLO_IO_BASE_SERVICE_H
#define SLO_IO_BASE_SERVICE_H

#include <sys/types.h>

#include "slo.h"

void service_ready(void);
void service_reloading(void);
/* It may take `longest` until the process ends. */
void service_stopping(slo_nsec longest);
/* From now on `successor` is the service's main process. */
void service_handed_over(pid_t successor);

#endif

#ifndef DOCKRION_CHIREDIS_SHIM_H
#define DOCKRION_CHIREDIS_SHIM_H

/* First, as in CLibevent: libevent's configuration defines _GNU_SOURCE. */
#include <sys/select.h>

#include <hiredis/async.h>
#include <hiredis/adapters/libevent.h>

#endif

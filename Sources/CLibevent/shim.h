#ifndef DOCKRION_CLIBEVENT_SHIM_H
#define DOCKRION_CLIBEVENT_SHIM_H

/* First: libevent's configuration defines _GNU_SOURCE, which would give fd_set other member names than the
   Dispatch module sees, and the compiler refuses two definitions of one structure. */
#include <sys/eventfd.h>
#include <sys/select.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <event2/util.h>

#endif

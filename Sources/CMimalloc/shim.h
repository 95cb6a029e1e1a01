#ifndef DOCKRION_CMIMALLOC_SHIM_H
#define DOCKRION_CMIMALLOC_SHIM_H

#include <mimalloc.h>

#endif

// SPDX-License-Identifier: Apache-2.0
#include "publish/nats_library.h"

#include <dlfcn.h>
#include <stdatomic.h>

enum { END_MS = 1000 };

#define TEXT(number) #number
#define NAME(major, minor) "libnats.so." TEXT(major) "." TEXT(minor)

static const char LIBRARY[] = NAME(NATS_VERSION_MAJOR, NATS_VERSION_MINOR);

/* The library is the process's: who ends first must not take it from the others. */
static atomic_uint users;

static bool find_function(void *handle, const char *name, void *ret)
{
    void *symbol = dlsym(handle, name);

    memcpy(ret, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static bool load(struct nats_library *library)
{
    bool found = true;

    library->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library->handle)
        return false;
#define X(name) found = found && find_function(library->handle, #name, &library->name);
    NATS_FUNCTIONS(X)
#undef X
    return found;
}

int nats_library_load(struct nats_library *library, struct complaint *complaint)
{
    if (!load(library))
        return complain(complaint, -ELIBACC, "--nats: %s", dlerror());
    atomic_fetch_add(&users, 1);
    return 0;
}

void nats_library_end(const struct nats_library *library)
{
    if (atomic_fetch_sub(&users, 1) == 1)
        (void)library->nats_CloseAndWait(END_MS); // the process ends anyway
}

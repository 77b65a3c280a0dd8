// SPDX-License-Identifier: Apache-2.0
#include "publish/nats_library.h"

#include <dlfcn.h>

#define TEXT(number) #number
#define NAME(major, minor) "libnats.so." TEXT(major) "." TEXT(minor)

static const char LIBRARY[] = NAME(NATS_VERSION_MAJOR, NATS_VERSION_MINOR);

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
    if (load(library))
        return 0;
    return complain(complaint, -ELIBACC, "cannot publish: %s", dlerror());
}

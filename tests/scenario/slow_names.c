// SPDX-License-Identifier: Apache-2.0
/*
 * slow_names.c - preloaded: a name server that takes six seconds for slow.example
 */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int getaddrinfo_fn(const char *node, const char *service,
                           const struct addrinfo *hints, struct addrinfo **ret);

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
    getaddrinfo_fn *real = (getaddrinfo_fn *)dlsym(RTLD_NEXT, "getaddrinfo");

    if (node && strcmp(node, "slow.example") == 0) {
        (void)sleep(6);
        return EAI_AGAIN;
    }
    return real(node, service, hints, ret);
}

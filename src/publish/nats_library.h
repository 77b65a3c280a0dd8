// SPDX-License-Identifier: Apache-2.0
/*
 * nats_library.h - the client library of NATS, loaded where it is used
 *
 * It and what it needs cost 0.2 MiB of resident memory in every process that is linked to
 * it (measured); few need it. It starts threads of its own, as rights are of who asks.
 */
#ifndef PUBLISH_NATS_LIBRARY_H
#define PUBLISH_NATS_LIBRARY_H

#include "base/complaint.h"

#include <nats/nats.h>

#define NATS_FUNCTIONS(X)                      \
    X(natsConnection_Close)                    \
    X(natsConnection_Connect)                  \
    X(natsConnection_Destroy)                  \
    X(natsConnection_FlushTimeout)             \
    X(natsConnection_GetConnectedUrl)          \
    X(natsConnection_GetLastError)             \
    X(natsConnection_GetMaxPayload)            \
    X(natsConnection_IsClosed)                 \
    X(natsConnection_Publish)                  \
    X(natsConnection_SubscribeSync)            \
    X(natsMsg_Destroy)                         \
    X(natsMsg_GetData)                         \
    X(natsMsg_GetDataLength)                   \
    X(natsMsg_GetSubject)                      \
    X(natsOptions_Create)                      \
    X(natsOptions_Destroy)                     \
    X(natsOptions_LoadCATrustedCertificates)   \
    X(natsOptions_LoadCertificatesChain)       \
    X(natsOptions_SetAllowReconnect)           \
    X(natsOptions_SetClosedCB)                 \
    X(natsOptions_SetErrorHandler)             \
    X(natsOptions_SetMaxPingsOut)              \
    X(natsOptions_SetName)                     \
    X(natsOptions_SetNoEcho)                   \
    X(natsOptions_SetPingInterval)             \
    X(natsOptions_SetSecure)                   \
    X(natsOptions_SetServers)                  \
    X(natsOptions_SetTimeout)                  \
    X(natsOptions_SetToken)                    \
    X(natsOptions_SetUserCredentialsFromFiles) \
    X(natsOptions_SetWriteDeadline)            \
    X(natsStatus_GetText)                      \
    X(natsSubscription_Destroy)                \
    X(natsSubscription_GetDropped)             \
    X(natsSubscription_NextMsg)                \
    X(natsSubscription_SetPendingLimits)       \
    X(nats_CloseAndWait)                       \
    X(nats_GetLastError)

struct nats_library {
    void *handle;
#define X(name) __typeof__(&name) name;
    NATS_FUNCTIONS(X)
#undef X
};

/* It stays loaded until the process ends. -ELIBACC: it is not there, or too old. */
int nats_library_load(struct nats_library *library,
                      struct complaint *complaint) MUST_CHECK;

/* After each load that succeeded: the last waits until threads of the library's are gone. */
void nats_library_end(const struct nats_library *library);

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * listener.h - turn "HOST:PORT" or "unix:PATH" into a listening socket
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/complaint.h"

enum { LISTENER_URL_MAX = 160 };

/*
 * A non-blocking listening socket, and its address as a URL with the port that was given
 * out. A Unix socket gets mode 0660; one left behind by a dead server is replaced, one
 * that answers is not. -EACCES: not loopback, and allow_public is false. Any other
 * negative errno: the complaint says the address and the cause.
 */
int listener_open(const char *address, bool allow_public, char *ret_url, size_t url_room,
                  struct complaint *complaint) MUST_CHECK;

#endif

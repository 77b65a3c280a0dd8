// SPDX-License-Identifier: Apache-2.0
/*
 * fake_loop.h - what the two halves of fake_net.h know of each other
 *
 * fake_net.c is the system's calls and the sockets behind them, fake_loop.c is libuv: polls,
 * timers, and the time.
 */
#ifndef FUZZ_FAKE_LOOP_H
#define FUZZ_FAKE_LOOP_H

#include "fake_net.h"

// What the linker gives the server instead of the functions named so.
// clang-format off
#define WRAP(type, name, ...)                                                             \
    type __real_##name(__VA_ARGS__);                                                      \
    type __wrap_##name(__VA_ARGS__);                                                      \
    type __wrap_##name(__VA_ARGS__)
// clang-format on

/* Of the sockets. The listener has no struct: NULL. */
bool fake_is_ours(int fd);
struct fake_socket *fake_socket_of(int fd);
int fake_descriptor_of(const struct fake_socket *socket);
int fake_ready_events(int fd);

/* Of the loop. May the server read from it: is it being called because it asked to? */
bool fake_loop_may_read(const struct fake_socket *socket);
bool fake_loop_polls(int fd);
void fake_loop_reset(void);
bool fake_loop_is_empty(void);

#endif

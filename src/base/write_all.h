// SPDX-License-Identifier: Apache-2.0
/*
 * write_all.h - write a whole text, however little the other end takes at a time
 */
#ifndef BASE_WRITE_ALL_H
#define BASE_WRITE_ALL_H

#include "base/base.h"

/*
 * Waits as long as it takes, also where somebody else has set the pipe or terminal to
 * non-blocking. A negative errno: part of it may have been written.
 */
int write_all(int fd, struct span text) MUST_CHECK;

#endif

// SPDX-License-Identifier: Apache-2.0
/*
 * cmdline.h - the words of a command line, and which program they start
 */
#ifndef MODEL_CMDLINE_H
#define MODEL_CMDLINE_H

#include "base/base.h"

/* The next of the arguments, each of which ends with NUL; `left` moves past it. */
bool cmdline_next(struct span *left, struct span *ret);

/* --name, -n; not "-", nor a negative number. */
bool cmdline_is_option(struct span arg);

bool cmdline_ends_with(struct span text, const char *end);

/* The program itself, or a path to it. */
bool cmdline_is_program(struct span arg, const char *name);
bool cmdline_is_python(struct span arg);
bool cmdline_is_module(struct span before, struct span arg, const char *name);

/*
 * Whether what follows argument `i` is started by another program, here or elsewhere:
 * between Python and what it runs are its own options, all else is another program's.
 */
bool cmdline_is_wrapped(bool so_far, unsigned i, struct span before, struct span arg);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "base/complaint.h"

#include <stdarg.h>
#include <stdio.h>

int complain(struct complaint *complaint, int r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(complaint->text, sizeof(complaint->text), format, args);
    va_end(args);
    return r;
}

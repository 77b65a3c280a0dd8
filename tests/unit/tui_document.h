// SPDX-License-Identifier: Apache-2.0
/*
 * tui_document.h - for tests: full documents, written with ' in place of "
 */
#ifndef UNIT_TUI_DOCUMENT_H
#define UNIT_TUI_DOCUMENT_H

#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"
#include "vramscope.h"

enum { DOCUMENT_SIZE = 64 * 1024 };

static inline __attribute__((format(printf, 1, 2))) const struct vramscope_detail *
document(const char *format, ...)
{
    static char json[DOCUMENT_SIZE];
    const struct vramscope_detail *detail = NULL;
    char why[256] = "";
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(json, sizeof(json), format, args);
    va_end(args);
    if (len < 0 || len >= DOCUMENT_SIZE)
        fail_msg("a document of %d bytes", len);
    for (int i = 0; i < len; i++)
        if (json[i] == '\'')
            json[i] = '"';
    if (vramscope_detail_parse(json, (size_t)len, &detail, why, sizeof(why)) < 0)
        fail_msg("%s: %s", json, why);
    return detail;
}

#endif

// SPDX-License-Identifier: Apache-2.0
#include "publish/subject.h"

#include "base/text.h"
#include "encode/compact.h"

#include <stdio.h>

void subject_make(char ret[SUBJECT_SIZE], const char *prefix, const char *node,
                  const char *what)
{
    (void)snprintf(ret, SUBJECT_SIZE, "%s.v1.%s.%s", prefix, node, what);
}

static bool skip_text(struct span *text, const char *what)
{
    size_t len = strlen(what);

    if (text->len < len || memcmp(text->at, what, len) != 0)
        return false;
    text->at += len;
    text->len -= len;
    return true;
}

bool subject_read_node(const char *prefix, const char *subject, struct span *ret)
{
    struct span left = span_of(subject);
    size_t n = 0;

    if (!skip_text(&left, prefix) || !skip_text(&left, ".v1."))
        return false;
    while (n < left.len && text_is_of_name(left.at[n]))
        n++;
    if (n == 0 || n >= COMPACT_NODE_SIZE ||
        !span_is((struct span){left.at + n, left.len - n}, ".snapshot"))
        return false;
    *ret = (struct span){left.at, n};
    return true;
}

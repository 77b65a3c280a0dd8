// SPDX-License-Identifier: Apache-2.0
#include "model/cmdline.h"

bool cmdline_next(struct span *left, struct span *ret)
{
    const char *end;

    if (left->len == 0)
        return false;
    end = memchr(left->at, '\0', left->len);
    *ret = (struct span){left->at, end ? (size_t)(end - left->at) : left->len};
    left->at += ret->len + (end != NULL);
    left->len -= ret->len + (end != NULL);
    return true;
}

bool cmdline_is_option(struct span arg)
{
    return arg.len > 1 && arg.at[0] == '-' && (arg.at[1] < '0' || arg.at[1] > '9');
}

bool cmdline_ends_with(struct span text, const char *end)
{
    size_t len = strlen(end);

    return text.len >= len && memcmp(text.at + text.len - len, end, len) == 0;
}

bool cmdline_is_program(struct span arg, const char *name)
{
    size_t len = strlen(name);

    return cmdline_ends_with(arg, name) &&
           (arg.len == len || arg.at[arg.len - len - 1] == '/');
}

bool cmdline_is_python(struct span arg)
{
    const char *slash = arg.len ? memrchr(arg.at, '/', arg.len) : NULL;
    const char *name = slash ? slash + 1 : arg.at;
    size_t len = arg.len - (size_t)(name - arg.at);

    return len >= 6 && memcmp(name, "python", 6) == 0;
}

bool cmdline_is_module(struct span before, struct span arg, const char *name)
{
    return span_is(before, "-m") && span_is(arg, name);
}

bool cmdline_is_wrapped(bool so_far, unsigned i, struct span before, struct span arg)
{
    if (i == 0)
        return !cmdline_is_python(arg);
    return so_far ||
           (!cmdline_is_option(arg) && !span_is(before, "-X") && !span_is(before, "-W"));
}

// SPDX-License-Identifier: Apache-2.0
#include "client/token.h"

#include <fcntl.h>

bool token_is_sound(struct span token)
{
    for (size_t i = 0; i < token.len; i++)
        if (token.at[i] <= ' ' || token.at[i] > '~')
            return false;
    return token.len > 0 && token.len <= TOKEN_MAX;
}

static void drop_line_end(struct span *text)
{
    if (text->len && text->at[text->len - 1] == '\n')
        text->len--;
    if (text->len && text->at[text->len - 1] == '\r')
        text->len--;
}

/* Not to wait for the writer of a pipe, or for a terminal, it is opened non-blocking. */
int token_read(const char *path, char **ret, struct complaint *why)
{
    char bytes[TOKEN_MAX + 3]; // one more than the longest with CRLF
    OWNED(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
    struct span token = {bytes, n < 0 ? 0 : (size_t)n};
    char *copy;

    if (n < 0)
        return complain(why, -EINVAL, "token file %s: %s", path, strerror(errno));
    drop_line_end(&token);
    if (!token_is_sound(token)) {
        explicit_bzero(bytes, sizeof(bytes));
        return complain(why, -EINVAL,
                        "token file %s: not one line of 1 to 4,096 visible characters",
                        path);
    }
    copy = strndup(token.at, token.len);
    explicit_bzero(bytes, sizeof(bytes));
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

void token_free(char *token)
{
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
}

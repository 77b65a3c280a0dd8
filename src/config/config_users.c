// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"
#include "config/config_value.h"

#include "base/number.h"

#include <pwd.h>

enum { USER_NAME_MAX = 64 };

/* A number, or a name that this host knows. */
static int read_user(struct span text, uint32_t *ret, struct complaint *why)
{
    char name[USER_NAME_MAX + 1];
    const struct passwd *entry;
    uint64_t number;

    if (number_read_u64(text, UINT32_MAX - 1, &number) == 0) {
        *ret = (uint32_t)number;
        return 0;
    }
    if (text.len == 0 || text.len > USER_NAME_MAX)
        return complain(why, -EINVAL, "'%s' is not the name of a user", quote(text).text);
    memcpy(name, text.at, text.len);
    name[text.len] = '\0';
    entry = getpwnam(name);
    if (!entry)
        return complain(why, -EINVAL, "there is no user '%s'", quote(text).text);
    *ret = entry->pw_uid;
    return 0;
}

int value_set_users(const struct setting *setting, void *member, struct span text,
                    struct complaint *why)
{
    struct config_users users = {0};

    (void)setting;
    while (text.len > 0 || users.n == 0) {
        const char *comma = text.len ? memchr(text.at, ',', text.len) : NULL;
        size_t len = comma ? (size_t)(comma - text.at) : text.len;
        int r;

        if (users.n == CONFIG_USERS_MAX)
            return complain(why, -EINVAL, "more than %d users", CONFIG_USERS_MAX);
        r = read_user((struct span){text.at, len}, &users.uid[users.n++], why);
        if (r < 0)
            return r;
        text.at += len + (comma != NULL);
        text.len -= len + (comma != NULL);
    }
    *(struct config_users *)member = users;
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "client/target.h"

#include <curl/curl.h>
#include <strings.h>
#include <sys/un.h>

enum { URL_MAX = 2048 };

static int parse_unix(const char *path, struct target *ret)
{
    size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);

    if (*path == '\0' || strlen(path) >= room)
        return -EINVAL;
    ret->unix_path = strdup(path);
    ret->origin = strdup("http://localhost");
    return ret->unix_path && ret->origin ? 0 : -ENOMEM;
}

/* As libcurl reads it, who will have to; without the slash at its end. */
static int normalize(CURLU *parts, const char *url, char **ret)
{
    OWNED(free_str) char *origin = NULL;
    char *text = NULL, *path = NULL;
    CURLUcode e = curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    bool bare;

    if (e != CURLUE_OK)
        return e == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
    if (curl_url_get(parts, CURLUPART_PATH, &path, 0) ||
        curl_url_get(parts, CURLUPART_URL, &text, 0)) {
        curl_free(path);
        return -ENOMEM;
    }
    bare = strcmp(path, "/") == 0;
    origin = strdup(text);
    curl_free(path);
    curl_free(text);
    if (!origin)
        return -ENOMEM;
    if (!bare)
        return -EINVAL;
    origin[strlen(origin) - 1] = '\0';
    *ret = TAKE(origin);
    return 0;
}

static int parse_http(const char *url, struct target *ret)
{
    CURLU *parts;
    int r;

    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return -EINVAL;
    if (strlen(url) > URL_MAX || strpbrk(url, "?#@\\"))
        return -EINVAL;
    parts = curl_url();
    if (!parts)
        return -ENOMEM;
    r = normalize(parts, url, &ret->origin);
    curl_url_cleanup(parts);
    return r;
}

int target_parse(const char *url, struct target *ret)
{
    struct target target = {0};
    int r = strncmp(url, "unix:", 5) == 0 ? parse_unix(url + 5, &target)
                                          : parse_http(url, &target);

    if (r < 0)
        target_done(&target);
    else
        *ret = target;
    return r;
}

void target_done(struct target *target)
{
    free(target->origin);
    free(target->unix_path);
    *target = (struct target){0};
}

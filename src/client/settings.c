// SPDX-License-Identifier: Apache-2.0
#include "client/scope.h"
#include "client/token.h"

#include <stdio.h>

enum {
    EVENT_MAX_DEFAULT = 8 << 20,
    EVENT_MAX_LEAST = 256,
    EVENT_MAX_MOST = 64 << 20,
    CONNECT_DEFAULT_MS = 5000,
    TIMEOUT_MAX_MS = 60 * 60 * 1000,
    NODE_MAX = 256, // bytes of a name
};

static bool is_zero(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i])
            return false;
    return true;
}

/*
 * A program built with another version of the header: what it does not know is 0, and what
 * we do not know must be.
 */
static int take_options(const struct vramscope_options *options,
                        struct vramscope_options *ret)
{
    size_t known = sizeof(*ret);

    *ret = (struct vramscope_options){0};
    if (!options)
        return 0;
    if (options->size < offsetof(struct vramscope_options, token) ||
        options->size > 64 * known)
        return -EINVAL;
    if (options->size > known &&
        !is_zero((const char *)options + known, options->size - known))
        return -EINVAL;
    memcpy(ret, options, MIN(options->size, known));
    return 0;
}

static bool is_timeout(int ms)
{
    return ms >= 0 && ms <= TIMEOUT_MAX_MS;
}

/* An id from elsewhere has to fit into a header field. */
static bool is_id(const char *id)
{
    for (const char *c = id; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return strlen(id) <= SSE_ID_MAX;
}

/* What a name holds is the gateway's matter: it is said in a form that any may have. */
static bool is_node(const char *node)
{
    return *node && strlen(node) <= NODE_MAX;
}

static bool is_sound(const struct vramscope_options *options)
{
    size_t event_max = options->event_max;

    if (options->stream != VRAMSCOPE_STREAM_SEED &&
        options->stream != VRAMSCOPE_STREAM_DETAIL)
        return false;
    if (options->token &&
        (options->token_file || !token_is_sound(span_of(options->token))))
        return false;
    if (options->last_event_id && !is_id(options->last_event_id))
        return false;
    if (options->node && !is_node(options->node))
        return false;
    if (event_max && (event_max < EVENT_MAX_LEAST || event_max > EVENT_MAX_MOST))
        return false;
    return is_timeout(options->connect_timeout_ms) &&
           is_timeout(options->silence_timeout_ms);
}

static bool copy_text(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

int settings_copy(const struct vramscope_options *options, struct settings *ret)
{
    struct vramscope_options from;
    int r = take_options(options, &from);

    if (r < 0)
        return r;
    if (!is_sound(&from))
        return -EINVAL;
    *ret = (struct settings){
        .stream = from.stream,
        .undecoded = from.undecoded,
        .once = from.once,
        .event_max = from.event_max ? from.event_max : (size_t)EVENT_MAX_DEFAULT,
        .connect_timeout_ms =
            from.connect_timeout_ms ? from.connect_timeout_ms : (int)CONNECT_DEFAULT_MS,
        .silence_timeout_ms = from.silence_timeout_ms,
    };
    if (copy_text(from.token, &ret->token) &&
        copy_text(from.token_file, &ret->token_file) &&
        copy_text(from.ca_file, &ret->ca_file) && copy_text(from.node, &ret->node) &&
        copy_text(from.last_event_id ? from.last_event_id : "", &ret->last_event_id))
        return 0;
    settings_done(ret);
    return -ENOMEM;
}

void settings_done(struct settings *settings)
{
    token_free(settings->token);
    free(settings->token_file);
    free(settings->ca_file);
    free(settings->node);
    free(settings->last_event_id);
    *settings = (struct settings){0};
}

static bool is_unreserved(char c) // of RFC 3986
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.' || c == '~';
}

char *settings_path(const struct settings *settings, const char *path)
{
    char encoded[3 * NODE_MAX + 1] = "", *all;
    size_t len = 0;

    if (!settings->node)
        return strdup(path);
    for (const char *c = settings->node; *c; c++)
        len += (size_t)snprintf(encoded + len, sizeof(encoded) - len,
                                is_unreserved(*c) ? "%c" : "%%%02X", (unsigned char)*c);
    if (asprintf(&all, "%s%cnode=%s", path, strchr(path, '?') ? '&' : '?', encoded) < 0)
        return NULL;
    return all;
}

int settings_token(const struct settings *settings, char **ret, struct complaint *why)
{
    if (settings->token_file)
        return token_read(settings->token_file, ret, why);
    return copy_text(settings->token, ret) ? 0 : -ENOMEM;
}

// SPDX-License-Identifier: Apache-2.0
#include "config/config_build.h"

#include "base/text.h"

/* Tokens with single dots between them: nothing that a server takes for a wildcard. */
int value_set_prefix(const struct setting *setting, void *member, struct span text,
                     struct complaint *why)
{
    char **at = member, *copy;
    bool good = text.len > 0, in_token = false;

    if (text.len > setting->max)
        return complain(why, -EINVAL, "'%s' is longer than %llu bytes", quote(text).text,
                        (unsigned long long)setting->max);
    for (size_t i = 0; good && i < text.len; i++) {
        good = text_is_of_name(text.at[i]) || (text.at[i] == '.' && in_token);
        in_token = text.at[i] != '.';
    }
    if (!good || !in_token)
        return complain(
            why, -EINVAL,
            "'%s' is not a prefix of subjects (letters, digits, _ and -, with "
            "single dots between them)",
            quote(text).text);
    copy = strndup(text.at, text.len);
    if (!copy)
        return complain(why, -ENOMEM, "out of memory");
    free(*at);
    *at = copy;
    return 0;
}

/* Whatever is to protect what is published must not be left out in silence. */
static int check_connection(const struct config *config, struct complaint *complaint)
{
    size_t secure = 0;

    for (size_t i = 0; i < config->nats.n; i++)
        secure += strncmp(config->nats.at[i], "tls:", 4) == 0;
    if (secure && secure < config->nats.n)
        return complain(complaint, -EINVAL,
                        "--nats: some servers are tls:// and some are not");
    if (config->nats.n && !secure && (config->nats_ca || config->nats_cert))
        return complain(complaint, -EINVAL,
                        "--nats: certificates are given, but the servers are not tls://");
    if (!config->nats_cert != !config->nats_key)
        return complain(
            complaint, -EINVAL, "--nats-%s is given without --nats-%s: both or none",
            config->nats_cert ? "cert" : "key", config->nats_cert ? "key" : "cert");
    if (config->nats_creds && config->nats_token)
        return complain(complaint, -EINVAL,
                        "--nats-creds and --nats-token-file: only one can be shown");
    return 0;
}

/* A gateway's figures are its nodes': it asks neither engines nor drivers. */
static int check_sources(const struct config *config, struct complaint *complaint)
{
    const char *other =
        config->n_engines       ? "--engine"
        : config->demo          ? "--demo"
        : config->docker_socket ? "--docker-socket"
        : strcmp(config->gpu, "auto") != 0 && strcmp(config->gpu, "none") != 0 ? "--gpu"
                                                                               : NULL;

    if (!other)
        return 0;
    return complain(complaint, -EINVAL,
                    "--gateway and %s: a gateway has no engine and no GPU of its own",
                    other);
}

/* Of subjects with a prefix a gateway hears all that are as long: the same prefix alone. */
static int check_gateway(const struct config *config, struct complaint *complaint)
{
    if (config->uplink && !config->gateway)
        return complain(complaint, -EINVAL,
                        "--uplink is given without --gateway: a host publishes under "
                        "--nats-prefix");
    if (config->uplink && strcmp(config->uplink, config->nats_prefix) == 0)
        return complain(
            complaint, -EINVAL,
            "--uplink and --nats-prefix are both '%s': the gateway would hear "
            "itself",
            config->uplink);
    if (config->uplink && !config->node)
        return complain(complaint, -EINVAL,
                        "--uplink is given without --node: the name under which every "
                        "gateway of these nodes publishes their sum, so that it counts "
                        "once");
    if (config->gateway && config->node && !config->uplink)
        return complain(complaint, -EINVAL,
                        "--node is given with --gateway, but without --uplink: a gateway "
                        "has a name only where it publishes its sum");
    if (!config->gateway)
        return 0;
    if (config->nats.n == 0)
        return complain(complaint, -EINVAL,
                        "--gateway is given without --nats: the server that the nodes "
                        "publish to");
    return check_sources(config, complaint);
}

int config_settle_nats(struct config *config, struct complaint *complaint)
{
    int r = check_connection(config, complaint);
    char *none;

    if (r == 0)
        r = check_gateway(config, complaint);
    if (r < 0 || !config->gateway)
        return r;
    none = strdup("none");
    if (!none)
        return complain(complaint, -ENOMEM, "out of memory");
    free(config->gpu);
    config->gpu = none;
    config->discover = false;
    return 0;
}

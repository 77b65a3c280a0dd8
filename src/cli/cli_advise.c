// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_get.h"
#include "cli/cli_output.h"

/* Of the daemon; "unknown" where it does not say. */
static void read_version(const struct cli *cli, const char *url, struct complaint *ret)
{
    struct vramscope_answer *answer;
    const char *version;
    json_t *object;

    (void)complain(ret, 0, "unknown");
    if (cli_get(cli, url, "/version", &answer) < 0)
        return;
    object = cli_answer_json(answer);
    version = json_string_value(json_object_get(object, "version"));
    if (version)
        (void)complain(ret, 0, "%s", version);
    json_decref(object);
    vramscope_answer_free(answer);
}

static int advise(const struct cli *cli, const char *url)
{
    struct vramscope_answer *answer;
    struct complaint version;
    int status;

    if (cli_get(cli, url, "/v1/advice", &answer) < 0)
        return CLI_FAILED;
    if (answer->status == 404) {
        read_version(cli, url, &version);
        cli_message("the daemon at %s (version %s) does not offer advice", url,
                    version.text);
        status = CLI_FAILED;
    } else {
        status = cli_print_items(cli, url, "advice", answer);
    }
    vramscope_answer_free(answer);
    return status;
}

int cli_advise(const struct cli *cli)
{
    int status = CLI_OK;

    for (size_t i = 0; i < cli->n_urls; i++)
        status = MAX(status, advise(cli, cli->urls[i]));
    return status;
}

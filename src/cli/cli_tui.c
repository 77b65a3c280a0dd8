// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/cli_output.h"
#include "tui/tui.h"

#include <stdio.h>

static int scope_fd(void *ctx)
{
    return vramscope_fd(ctx);
}

static int scope_timeout_ms(void *ctx)
{
    return vramscope_timeout_ms(ctx);
}

static const struct vramscope_event *scope_next(void *ctx)
{
    const struct vramscope_event *event = vramscope_next(ctx);

    if (event)
        return event;
    (void)vramscope_process(ctx); // -ENOMEM is tried again
    return vramscope_next(ctx);
}

static struct tui_source source_of(const char *url, struct vramscope *scope)
{
    return (struct tui_source){
        .url = url,
        .ctx = scope,
        .fd = scope_fd,
        .timeout_ms = scope_timeout_ms,
        .next = scope_next,
    };
}

/* A stream of its own for one node of the gateway. */
static int open_node(void *ctx, const struct tui_source *gateway, const char *node,
                     struct tui_source *ret)
{
    struct vramscope_options options = cli_stream_options(ctx);
    struct vramscope *scope;
    int r;

    options.node = node;
    r = vramscope_open(gateway->url, &options, &scope);
    if (r == 0)
        *ret = source_of(gateway->url, scope);
    return r;
}

static void close_node(void *ctx, struct tui_source *source)
{
    (void)ctx;
    vramscope_close(source->ctx);
}

int cli_show(const struct cli *cli, const struct tui_source *sources, size_t n_sources)
{
    struct complaint why = {""};
    struct tui_options options = {
        .sources = sources,
        .n_sources = n_sources,
        .theme = theme_find(cli->colours ? cli->theme : "mono"),
        .glyphs = (enum glyphs)cli->glyphs,
        .colours = cli->colours,
        .refresh_ms = (int)cli->interval_ms,
        .open_node = open_node,
        .close_node = close_node,
        .ctx = (void *)(uintptr_t)cli, // which they only read
    };
    int r;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        cli_message("stdin or stdout is not a terminal; for a table without one there is "
                    "--once, for lines of text vramscope stream");
        return CLI_USAGE;
    }
    r = tui_run(&options, &why);
    if (r < 0)
        cli_message("%s", why.text);
    if (r == -EINVAL || r == -ENOTSUP)
        return CLI_USAGE; // nothing to draw on
    return r == 0 ? CLI_OK : CLI_FAILED;
}

static int open_all(const struct cli *cli, struct tui_source *sources)
{
    struct vramscope_options options = cli_stream_options(cli);

    for (size_t i = 0; i < cli->n_urls; i++) {
        struct vramscope *scope;
        int r = vramscope_open(cli->urls[i], &options, &scope);

        if (r < 0) {
            cli_message("%s: %s", cli->urls[i],
                        r == -EINVAL ? "not the URL of a daemon" : strerror(-r));
            return r;
        }
        sources[i] = source_of(cli->urls[i], scope);
    }
    return 0;
}

int cli_tui(const struct cli *cli)
{
    struct tui_source sources[CLI_URLS_MAX] = {0};
    int status;

    if (cli->once)
        return cli_once(cli);
    status =
        open_all(cli, sources) < 0 ? CLI_FAILED : cli_show(cli, sources, cli->n_urls);
    for (size_t i = 0; i < cli->n_urls; i++)
        vramscope_close(sources[i].ctx);
    return status;
}

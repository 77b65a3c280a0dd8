// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as the config file of a server give arguments or one sentence that says where.
 * The arguments end with a NUL each, and a command line is read behind them.
 */
#include "model/launch.h"
#include "model/launch_file.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_args(struct span args)
{
    static const char line[] = "vllm\0serve\0M\0--config\0f\0--port\0"
                               "7";
    struct launch launch;

    assert(args.at && (args.len == 0 || args.at[args.len - 1] == '\0'));
    assert(args.len == 0 || (args.len > 2 && memcmp(args.at, "--", 2) == 0));
    assert(launch_read_with_file((struct span){line, sizeof(line)}, args, &launch) == 1);
    assert(strcmp(launch.model, "M") == 0 && launch.config_file[0] == '\0');
    assert(launch.port == 7);
    assert(memchr(launch.served_name, '\0', sizeof(launch.served_name)));
    assert(launch_draft(&launch) <= KV_DRAFT_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct complaint why = {""};
    struct buf args;
    int r;

    buf_init(&args, LAUNCH_FILE_ARGS_MAX);
    r = launch_file_read((struct span){(const char *)data, size}, &args, &why);
    if (r == 0)
        check_args(buf_span(&args));
    else
        assert(r == -EFBIG || (r == -EBADMSG && strncmp(why.text, "line ", 5) == 0));
    buf_done(&args);
    return 0;
}

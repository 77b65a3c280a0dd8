// SPDX-License-Identifier: Apache-2.0
/* A command line is read within its bounds; so is what a server says of itself. */
#include "model/server_answers.h"
#include "model/server_launch.h"

#include <assert.h>
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_text(const char *text, size_t room)
{
    return memchr(text, '\0', room) != NULL;
}

static void check_launch(const struct launch *launch)
{
    assert(is_text(launch->model, sizeof(launch->model)));
    assert(is_text(launch->served_name, sizeof(launch->served_name)));
    assert(is_text(launch->cache_dtype, sizeof(launch->cache_dtype)));
    assert(is_text(launch->draft_model, sizeof(launch->draft_model)));
    assert(launch->tp == UNKNOWN || launch->tp <= INT64_MAX);
    assert(launch_draft(launch) <= KV_DRAFT_UNKNOWN);
    assert(launch_hybrid(launch) <= KV_HYBRID_UNSURE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char start[] = "vllm\0serve\0M";
    struct span input = {(const char *)data, size};
    struct complaint why = {""};
    struct server_settings settings;
    struct model_config config;
    struct server_model model = {"", "", 0};
    struct launch launch;
    struct server_launch server;
    enum kv_rule rule;

    if (launch_read(input, &launch))
        check_launch(&launch);
    if (server_launch_read(input, &server)) {
        assert(is_text(server.name, sizeof(server.name)) && server.engine);
        assert(server.port == UNKNOWN || (server.port <= UINT16_MAX));
    }
    assert(launch_read((struct span){start, sizeof(start)}, &launch) == 1);
    assert(server_read_settings(input, &launch, &config, &settings, &why) == 0 ||
           why.text[0]);
    check_launch(&launch);
    assert(server_read_models(input, &model, &why) == 0 || why.text[0]);
    assert(is_text(model.root, sizeof(model.root)));
    assert(server_read_version(input, &rule, &why) == 0 || why.text[0]);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine_kind.h"
#include "model/server_launch.h"

#define U UNKNOWN

/* Words are told apart by one blank each; engine NULL: it is no server. */
static const struct {
    const char *cmdline;
    const char *engine;
    const char *name;
    uint64_t port;
    uint16_t default_port;
    bool tls, wrapped;
} rows[] = {
    {"/usr/bin/python3 /usr/local/bin/vllm serve acme/a --port 8001", "vllm", "acme/a",
     8001, 8000, false, false},
    {"vllm serve acme/a --served-model-name b --ssl-certfile c", "vllm", "b", U, 8000,
     true, false},
    {"vllm-rs frontend --args-json {\"model_tag\":\"x\"}", "vllm", "x", U, 0, false,
     false},
    {"python3 -m sglang.launch_server --model-path acme/s --port 30001 --tp 8", "sglang",
     "acme/s", 30001, 30000, false, false},
    {"python -m sglang.launch_server --model acme/s --served-model-name=s", "sglang", "s",
     U, 30000, false, false},
    {"python -m sglang.launch_server --served-model-name s --model-path acme/s", "sglang",
     "s", U, 30000, false, false},
    {"python -m sglang.launch_server --config f.yaml", "sglang", "", U, 0, false, false},
    {"sglang serve acme/s --host 0.0.0.0", "sglang", "acme/s", U, 30000, false, false},
    {"sglang generate --model-path acme/s", NULL, "", 0, 0, false, false},
    {"sglang::scheduler_TP0", NULL, "", 0, 0, false, false},
    {"/usr/bin/python3 /usr/local/bin/trtllm-serve acme/t --port 8123 --tp_size 2",
     "trtllm", "acme/t", 8123, 8000, false, false},
    {"trtllm-serve serve acme/t --served_model_name t", "trtllm", "t", U, 8000, false,
     false},
    {"trtllm-serve --host 0.0.0.0 acme/t", "trtllm", "", U, 8000, false, false},
    {"mpirun -n 2 trtllm-llmapi-launch trtllm-serve acme/t", "trtllm", "acme/t", U, 8000,
     false, true},
    {"trtllm-serve disaggregated -c c.yaml", NULL, "", 0, 0, false, false},
    {"/opt/tritonserver/bin/tritonserver --model-repository=/m --http-port 8000",
     "triton", "", U, 8002, false, false},
    {"tritonserver --metrics-port=9002", "triton", "", 9002, 8002, false, false},
    {"/app/llama-server -m /m/a.gguf --port 9000 --metrics -c 8192", "llamacpp", "a.gguf",
     9000, 8080, false, false},
    {"llama-server -hf org/m-GGUF:Q4 -a m", "llamacpp", "m", U, 8080, false, false},
    {"llama-server --alias m -m /m/a.gguf --ssl-cert-file c --ssl-key-file k", "llamacpp",
     "m", U, 8080, true, false},
    {"llama-server -m /m/a.gguf --port 99999", "llamacpp", "a.gguf", U, 8080, false,
     false},
    {"llama-server -m /m/a.gguf --port 0", "llamacpp", "a.gguf", U, 8080, false, false},
    {"llama-server -m", "llamacpp", "", U, 8080, false, false},
    {"/usr/bin/tini -- llama-server -m a", "llamacpp", "a", U, 8080, false, true},
    {"ssh host llama-server -m a", "llamacpp", "a", U, 8080, false, true},
    {"my-llama-server -m a", NULL, "", 0, 0, false, false},
    {"text-generation-launcher --model-id acme/g --port 8085", "tgi", "acme/g", 8085,
     3000, false, false},
    {"text-generation-router --port 8085 --tokenizer-name x", "tgi", "", 8085, 3000,
     false, false},
    {"/usr/bin/python3 /opt/bin/lmdeploy serve api_server acme/l --server-port 23334 "
     "--tp 2",
     "lmdeploy", "acme/l", 23334, 23333, false, false},
    {"lmdeploy serve api_server acme/l --model-name l", "lmdeploy", "l", U, 23333, false,
     false},
    {"lmdeploy serve gradio acme/l", NULL, "", 0, 0, false, false},
    {"/bin/ollama serve", "ollama", "", U, 11434, false, false},
    {"ollama runner --model /blobs/sha256-1 --port 37001", NULL, "", 0, 0, false, false},
    {"ollama run llama3", NULL, "", 0, 0, false, false},
    {"python3 -m nim_llm_sdk.entrypoints.openai.api_server --served-model-name n", "nim",
     "n", U, 8000, false, false},
    {"python3 -m dynamo.sglang --model-path acme/d", "dynamo", "acme/d", U, 0, false,
     false},
    {"python3 -m dynamo.frontend --http-port 8000", NULL, "", 0, 0, false, false},
    {"python3 -m http.server 8000", NULL, "", 0, 0, false, false},
    {"grep -r llama-server", "llamacpp", "", U, 8080, false, true},
    {"", NULL, "", 0, 0, false, false},
};

static struct span words(const char *text, char *room)
{
    size_t len = strlen(text);

    memcpy(room, text, len + 1);
    for (size_t i = 0; i < len; i++)
        if (room[i] == ' ')
            room[i] = '\0';
    return (struct span){room, len ? len + 1 : 0};
}

static void test_command_lines(void **state)
{
    static struct server_launch launch;
    char room[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int r = server_launch_read(words(rows[i].cmdline, room), &launch);

        if (r != (rows[i].engine != NULL))
            fail_msg("[%s] %d", rows[i].cmdline, r);
        if (r != 1)
            continue;
        if (strcmp(launch.engine, rows[i].engine) != 0 ||
            strcmp(launch.name, rows[i].name) != 0)
            fail_msg("[%s] %s '%s'", rows[i].cmdline, launch.engine, launch.name);
        if (launch.port != rows[i].port || launch.default_port != rows[i].default_port)
            fail_msg("[%s] port %d, else %d", rows[i].cmdline, (int)launch.port,
                     launch.default_port);
        if (launch.tls != rows[i].tls || launch.wrapped != rows[i].wrapped)
            fail_msg("[%s] tls %d, wrapped %d", rows[i].cmdline, launch.tls,
                     launch.wrapped);
        assert_non_null(engine_kind_named(span_of(launch.engine)));
    }
}

/* Some have no metrics without a port that nobody could guess. */
static void test_no_port(void **state)
{
    static struct server_launch launch;
    char room[512];

    (void)state;
    assert_int_equal(server_launch_read(words("python -m dynamo.vllm", room), &launch),
                     1);
    assert_non_null(launch.no_port_why);
    assert_string_equal(launch.port_variable, "DYN_SYSTEM_PORT");
    assert_int_equal(server_launch_read(words("ollama serve", room), &launch), 1);
    assert_null(launch.no_port_why);
    assert_string_equal(launch.port_variable, "OLLAMA_HOST");
}

static void test_ports_of_an_environment(void **state)
{
    static const struct {
        const char *text;
        uint64_t port;
    } ports[] = {
        {"8080", 8080},    {":8080", 8080}, {"0.0.0.0:11434", 11434},
        {"http://h:1", 1}, {"[::1]:9", 9},  {"0.0.0.0", U},
        {"[::1]", U},      {"", U},         {"0", U},
        {"65536", U},      {"8080/", U},    {"-1", U},
        {" 8080", U},      {"http://h", U},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        uint64_t port = U;
        bool told = server_launch_read_port(span_of(ports[i].text), &port);

        if (told != (ports[i].port != U) || (told && port != ports[i].port))
            fail_msg("[%s] %d", ports[i].text, (int)port);
    }
}

static void test_titles(void **state)
{
    (void)state;
    assert_string_equal(server_launch_titled("VLLM::EngineCor"), "vllm");
    assert_string_equal(server_launch_titled("sglang::schedul"), "sglang");
    assert_null(server_launch_titled("sglang"));
    assert_null(server_launch_titled("python3"));
    assert_null(server_launch_titled(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_lines),
        cmocka_unit_test(test_no_port),
        cmocka_unit_test(test_ports_of_an_environment),
        cmocka_unit_test(test_titles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

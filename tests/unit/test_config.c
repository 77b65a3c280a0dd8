// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "test_folder.h"

enum { WORDS_MAX = 12 };

static const char FILE_NAME[] = "vramscope.yaml";

/* What a test loads from; file NULL: no --config. */
struct input {
    const char *flags[WORDS_MAX];
    const char *environment[WORDS_MAX];
    const char *file;
};

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(name, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static int load(const struct input *input, struct config **config,
                enum config_action *action, struct complaint *complaint)
{
    char *argv[WORDS_MAX + 4] = {(char *)(uintptr_t) "vramscoped"};
    char *environment[WORDS_MAX + 1] = {NULL};
    int argc = 1;

    if (input->file) {
        write_file(FILE_NAME, input->file, strlen(input->file));
        argv[argc++] = (char *)(uintptr_t) "--config";
        argv[argc++] = (char *)(uintptr_t)FILE_NAME;
    }
    for (size_t i = 0; i < WORDS_MAX && input->flags[i]; i++)
        argv[argc++] = (char *)(uintptr_t)input->flags[i];
    for (size_t i = 0; i < WORDS_MAX && input->environment[i]; i++)
        environment[i] = (char *)(uintptr_t)input->environment[i];
    return config_load(argc, argv, environment, config, action, complaint);
}

static struct config *load_good(const char *row, const struct input *input)
{
    struct config *config = NULL;
    enum config_action action = CONFIG_HELP;
    struct complaint complaint = {""};
    int r = load(input, &config, &action, &complaint);

    if (r != 0 || !config || action != CONFIG_RUN)
        fail_msg("[%s] is %d: %s", row, r, complaint.text);
    return config;
}

static void expect_complaint(const char *row, const struct input *input, const char *text)
{
    struct config *config = NULL;
    enum config_action action;
    struct complaint complaint = {""};
    int r = load(input, &config, &action, &complaint);

    if (r != -EINVAL || config)
        fail_msg("[%s] is %d, expected %d and no config", row, r, -EINVAL);
    if (strcmp(complaint.text, text) != 0)
        fail_msg("[%s]\n  says     %s\n  expected %s", row, complaint.text, text);
}

static void test_defaults(void **state)
{
    static const struct input nothing;
    struct config *config = load_good("nothing", &nothing);

    (void)state;
    assert_int_equal(config->listen.n, 1);
    assert_string_equal(config->listen.at[0], "127.0.0.1:6767");
    assert_int_equal(config->n_engines, 0);
    assert_string_equal(config->gpu, "auto");
    assert_null(config->nvml_library);
    assert_string_equal(config->proc_root, "/proc");
    assert_string_equal(config->sys_root, "/sys");
    assert_null(config->sim_dir);
    assert_null(config->file);
    assert_int_equal(config->interval_ms, 500);
    assert_int_equal(config->max_clients, 512);
    assert_int_equal(config->max_clients_per_ip, 64);
    assert_int_equal(config->model_id, MODEL_ID_IDENTIFIER);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_true(config->discover);
    assert_false(config->demo);
    assert_false(config->allow_public);
    assert_false(config->check_only);
    config_free(config);
}

/* The number or text of one member, to compare by name. */
static const struct {
    const char *row;
    struct input input;
    uint64_t interval;
    const char *gpu;
    const char *listen; // all addresses, by blanks
} precedence[] = {
    {"file", {{0}, {0}, "interval: 200\ngpu: none\n"}, 200, "none", "127.0.0.1:6767"},
    {"environment over file",
     {{0}, {"VRAMSCOPE_INTERVAL=300", "VRAMSCOPE_GPU=sim"}, "interval: 200\ngpu: none\n"},
     300,
     "sim",
     "127.0.0.1:6767"},
    {"flag over both",
     {{"--interval=400"}, {"VRAMSCOPE_INTERVAL=300"}, "interval: 200\ngpu: none\n"},
     400,
     "none",
     "127.0.0.1:6767"},
    {"empty variable is not given",
     {{0}, {"VRAMSCOPE_INTERVAL=", "VRAMSCOPE_GPU="}, "interval: 200\n"},
     200,
     "auto",
     "127.0.0.1:6767"},
    {"variables of others",
     {{0},
      {"VRAMSCOPE_PORT=tcp://10.0.0.1:80", "INTERVAL=7", "VRAMSCOPE_INTERVALS=7"},
      NULL},
     500,
     "auto",
     "127.0.0.1:6767"},
    {"last flag wins",
     {{"--interval", "600", "--interval", "700"}, {0}, NULL},
     700,
     "auto",
     "127.0.0.1:6767"},
    {"addresses of flags",
     {{"--listen", "[::1]:0", "--listen=unix:/run/v"}, {0}, NULL},
     500,
     "auto",
     "[::1]:0 unix:/run/v"},
    {"addresses replace the weaker list",
     {{"--listen=h:1"}, {"VRAMSCOPE_LISTEN=a:1,b:2"}, "listen: [c:3, d:4]\n"},
     500,
     "auto",
     "h:1"},
    {"addresses of the environment",
     {{0}, {"VRAMSCOPE_LISTEN=a:1, b:2"}, "listen: c:3\n"},
     500,
     "auto",
     "a:1 b:2"},
    {"addresses of the file",
     {{0}, {0}, "listen:\n  - '[::1]:6767'\n  - unix:/run/v.sock\n"},
     500,
     "auto",
     "[::1]:6767 unix:/run/v.sock"},
    {"addresses of the file and none of the environment",
     {{0}, {"VRAMSCOPE_LISTEN="}, "listen: [c:3, d:4]\n"},
     500,
     "auto",
     "c:3 d:4"},
    {"one address in the file",
     {{0}, {0}, "listen: host.example:80\n"},
     500,
     "auto",
     "host.example:80"},
};

static void test_precedence(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(precedence); i++) {
        struct config *config = load_good(precedence[i].row, &precedence[i].input);
        char listen[256] = "";

        for (size_t j = 0; j < config->listen.n; j++)
            (void)snprintf(listen + strlen(listen), sizeof(listen) - strlen(listen),
                           "%s%s", j ? " " : "", config->listen.at[j]);
        if (config->interval_ms != precedence[i].interval ||
            strcmp(config->gpu, precedence[i].gpu) != 0 ||
            strcmp(listen, precedence[i].listen) != 0)
            fail_msg("[%s] %ju %s %s", precedence[i].row, (uintmax_t)config->interval_ms,
                     config->gpu, listen);
        config_free(config);
    }
}

static const struct {
    const char *row;
    struct input input;
    bool discover, demo, allow_public, check_only, exposed;
} switches[] = {
    {"flags",
     {{"--no-discover", "--demo", "--allow-public", "--check-config", "--no-confine"},
      {0},
      NULL},
     false,
     true,
     true,
     true,
     true},
    {"environment",
     {{0}, {"VRAMSCOPE_DISCOVER=No", "VRAMSCOPE_DEMO=1"}, NULL},
     false,
     true,
     false,
     false,
     false},
    {"environment off",
     {{0}, {"VRAMSCOPE_DISCOVER=yes", "VRAMSCOPE_DEMO=0"}, NULL},
     true,
     false,
     false,
     false,
     false},
    {"file",
     {{0}, {0}, "discover: false\ndemo: TRUE\nallow_public: yes\nconfine: no\n"},
     false,
     true,
     true,
     false,
     true},
    {"environment over file",
     {{0}, {"VRAMSCOPE_DEMO=false"}, "demo: true\n"},
     true,
     false,
     false,
     false,
     false},
};

static void test_switches(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        struct config *config = load_good(switches[i].row, &switches[i].input);

        if (config->discover != switches[i].discover ||
            config->demo != switches[i].demo ||
            config->allow_public != switches[i].allow_public ||
            config->confine == switches[i].exposed ||
            config->check_only != switches[i].check_only)
            fail_msg("[%s]", switches[i].row);
        config_free(config);
    }
}

static void test_every_key_of_the_file(void **state)
{
    static const struct input input = {
        .file = "# all of them\n"
                "listen: 127.0.0.1:1\n"
                "engines: []\n"
                "discover: no\n"
                "gpu: nvml\n"
                "nvml_library: /lib/nvml.so\n"
                "proc: /p\n"
                "sys: /s\n"
                "sim_dir: /sim\n"
                "interval: 60000\n"
                "demo: true\n"
                "allow_public: true\n"
                "token_file: key\n"
                "allow_hosts: [gpu1.example, '[::1]:1']\n"
                "allow_origins: https://dash.example\n"
                "tls_cert: /c.pem\n"
                "tls_key: /k.pem\n"
                "max_clients: 1000000\n"
                "max_clients_per_ip: 1\n"
                "model_id: served\n"
                "log_level: \"debug\"\n",
    };
    struct config *config;

    (void)state;
    write_file("key", "0123456789abcdef0123456789abcdef\n", 33);
    assert_int_equal(chmod("key", 0600), 0);
    config = load_good("all keys", &input);
    assert_true(config->token.given);
    assert_true(config_has_secret(config));
    assert_int_equal(config->allow_hosts.n, 2);
    assert_string_equal(config->allow_hosts.at[0], "gpu1.example");
    assert_string_equal(config->allow_hosts.at[1], "[::1]:1");
    assert_int_equal(config->allow_origins.n, 1);
    assert_string_equal(config->allow_origins.at[0], "https://dash.example");
    assert_string_equal(config->gpu, "nvml");
    assert_string_equal(config->nvml_library, "/lib/nvml.so");
    assert_string_equal(config->proc_root, "/p");
    assert_string_equal(config->sys_root, "/s");
    assert_string_equal(config->sim_dir, "/sim");
    assert_string_equal(config->file, FILE_NAME);
    assert_int_equal(config->interval_ms, 60000);
    assert_string_equal(config->tls_cert, "/c.pem");
    assert_string_equal(config->tls_key, "/k.pem");
    assert_int_equal(config->max_clients, 1000000);
    assert_int_equal(config->max_clients_per_ip, 1);
    assert_int_equal(config->model_id, MODEL_ID_SERVED);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    config_free(config);
}

static void test_engines_of_all_sources(void **state)
{
    static const struct input input = {
        {"--engine", "https://Gpu1/"},
        {"VRAMSCOPE_ENGINE=http://h:1,http://h:2/vllm/"},
        "engines:\n"
        "  - url: http://[::1]:8000\n"
        "    name: Qwen/Qwen3-0.6B\n"
        "    kv_bytes_per_block: 1792 KiB\n"
        "    gpus: 8\n"
        "    kind: trtllm\n"
        "    api_key_file: key\n"
        "    ca_file: /ca.pem\n"
        "    insecure: true\n"
        "  - {url: 'http://h:3', kv_pool_bytes_per_gpu: 4GiB}\n",
    };
    static const char *const urls[] = {"http://[::1]:8000", "http://h:3", "http://h:1",
                                       "http://h:2/vllm", "https://gpu1:443"};
    struct config *config;
    const struct config_engine *engine;

    (void)state;
    write_file("key", "s3cret\n", 7);
    config = load_good("engines", &input);
    assert_int_equal(config->n_engines, ARRAY_LEN(urls));
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        assert_string_equal(config->engines[i].url, urls[i]);

    engine = &config->engines[0];
    assert_string_equal(engine->name, "Qwen/Qwen3-0.6B");
    assert_int_equal(engine->kv_bytes_per_block, 1792 << 10);
    assert_true(engine->kv_pool_bytes_per_gpu == UNKNOWN);
    assert_int_equal(engine->gpus, 8);
    assert_string_equal(engine->kind, "trtllm");
    assert_string_equal(engine->api_key, "s3cret");
    assert_string_equal(engine->ca_file, "/ca.pem");
    assert_true(engine->insecure);

    engine = &config->engines[1];
    assert_null(engine->name);
    assert_null(engine->kind);
    assert_true(engine->kv_bytes_per_block == UNKNOWN);
    assert_true(engine->kv_pool_bytes_per_gpu == UINT64_C(4) << 30);
    assert_true(engine->gpus == UNKNOWN);
    assert_null(engine->api_key);
    assert_false(engine->insecure);
    config_free(config);
}

static const struct {
    const char *row;
    const char *flags[4];
    enum config_action action;
} actions[] = {
    {"help", {"--help"}, CONFIG_HELP},
    {"-h", {"-h"}, CONFIG_HELP},
    {"version", {"--version"}, CONFIG_VERSION},
    {"-V", {"--demo", "-V", "--bogus"}, CONFIG_VERSION},
    {"the first one counts", {"-h", "-V"}, CONFIG_HELP},
};

static void test_actions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        struct input input = {.environment = {"VRAMSCOPE_INTERVAL=bad"}};
        struct config *config = (struct config *)state;
        enum config_action action = CONFIG_RUN;
        struct complaint complaint;

        memcpy(input.flags, actions[i].flags, sizeof(actions[i].flags));
        if (load(&input, &config, &action, &complaint) != 0 || config ||
            action != actions[i].action)
            fail_msg("[%s] action %d", actions[i].row, (int)action);
    }
}

static const struct {
    const char *row;
    const char *flags[4];
    const char *complaint;
} bad_flags[] = {
    {"certificate without key",
     {"--tls-cert", "x"},
     "--tls-cert is given without --tls-key: TLS needs both"},
    {"key without certificate",
     {"--tls-key=x"},
     "--tls-key is given without --tls-cert: TLS needs both"},
    {"unknown", {"--frobnicate"}, "unknown flag '--frobnicate'; --help lists them all"},
    {"near", {"--inteval", "5"}, "unknown flag '--inteval'; is --interval meant?"},
    {"near with value", {"--listn=x"}, "unknown flag '--listn'; is --listen meant?"},
    {"underscores",
     {"--max_clients=1"},
     "unknown flag '--max_clients'; is --max-clients meant?"},
    {"a flag's beginning", {"--max"}, "unknown flag '--max'; --help lists them all"},
    {"unknown letter", {"-x"}, "unknown flag '-x'; --help lists them all"},
    {"letters together", {"-hV"}, "unknown flag '-hV'; --help lists them all"},
    {"only an equals sign", {"--=x"}, "unknown flag '--'; --help lists them all"},
    {"hostile name",
     {"--\033[2J\n"},
     "unknown flag '--\xef\xbf\xbd[2J\xef\xbf\xbd'; --help lists them all"},
    {"stray", {"demo"}, "stray argument 'demo'; --help tells the usage"},
    {"stray dash", {"-"}, "stray argument '-'; --help tells the usage"},
    {"stray dashes", {"--"}, "stray argument '--'; --help tells the usage"},
    {"stray nothing", {""}, "stray argument ''; --help tells the usage"},
    {"missing value", {"--interval"}, "--interval needs a value: --interval MS"},
    {"flag for a value",
     {"--gpu", "--demo"},
     "--gpu needs a value: --gpu auto|nvml|amdgpu|xe|sim|none"},
    {"empty value", {"--proc="}, "--proc: the value is empty"},
    {"value of a switch", {"--demo=true"}, "--demo takes no value"},
    {"value of help", {"--help=x"}, "--help takes no value"},
    {"too low", {"--interval", "99"}, "--interval: 99 is out of range (100..60000)"},
    {"too high", {"--interval=60001"}, "--interval: 60001 is out of range (100..60000)"},
    {"far too high",
     {"--interval=99999999999999999999"},
     "--interval: 99999999999999999999 is out of range (100..60000)"},
    {"negative", {"--interval=-5"}, "--interval: '-5' is not a whole number"},
    {"unit", {"--interval=500ms"}, "--interval: '500ms' is not a whole number"},
    {"hexadecimal",
     {"--max-clients=0x10"},
     "--max-clients: '0x10' is not a whole number"},
    {"no clients", {"--max-clients=0"}, "--max-clients: 0 is out of range (1..1000000)"},
    {"no such driver",
     {"--gpu=nvlm"},
     "--gpu: expected auto|nvml|amdgpu|xe|sim|none, not 'nvlm'"},
    {"list of drivers",
     {"--gpu=auto|nvml"},
     "--gpu: expected auto|nvml|amdgpu|xe|sim|none, not 'auto|nvml'"},
    {"no driver", {"--gpu="}, "--gpu: expected auto|nvml|amdgpu|xe|sim|none, not ''"},
    {"no such form",
     {"--model-id=both"},
     "--model-id: expected identifier|served, not 'both'"},
    {"control character",
     {"--sys=/s\n"},
     "--sys: '/s\xef\xbf\xbd' contains a control character"},
    {"no such user",
     {"--discover-users=root,no-such-user"},
     "--discover-users: there is no user 'no-such-user'"},
    {"no user",
     {"--discover-users=,1"},
     "--discover-users: '' is not the name of a user"},
    {"no uid",
     {"--discover-users=4294967295"},
     "--discover-users: there is no user '4294967295'"},
    {"more users than there is room for",
     {"--discover-users=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"},
     "--discover-users: more than 16 users"},
    {"mode with an 8",
     {"--socket-mode=0680"},
     "--socket-mode: '0680' is not a mode from 0001 to 0777"},
    {"mode of nobody",
     {"--socket-mode=000"},
     "--socket-mode: '000' is not a mode from 0001 to 0777"},
    {"sticky mode",
     {"--socket-mode=1777"},
     "--socket-mode: '1777' is not a mode from 0001 to 0777"},
    {"long mode",
     {"--socket-mode=00660"},
     "--socket-mode: '00660' is not a mode from 0001 to 0777"},
    {"no mode", {"--socket-mode="}, "--socket-mode: '' is not a mode from 0001 to 0777"},
    {"mode in letters",
     {"--socket-mode=rw"},
     "--socket-mode: 'rw' is not a mode from 0001 to 0777"},
    {"token file that is not there",
     {"--token-file=nowhere"},
     "--token-file: 'nowhere': No such file or directory"},
    {"every origin",
     {"--allow-origin=*"},
     "--allow-origin: '*' would let pages of every site in; name each"},
    {"host with a scheme",
     {"--allow-host=https://h"},
     "--allow-host: 'https://h' is not HOST[:PORT]"},
    {"same engine twice",
     {"--engine=http://h", "--engine=http://H:80/"},
     "--engine: engine http://h:80 is given already at --engine"},
};

static void test_bad_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_flags); i++) {
        struct input input = {.file = NULL};

        memcpy(input.flags, bad_flags[i].flags, sizeof(bad_flags[i].flags));
        expect_complaint(bad_flags[i].row, &input, bad_flags[i].complaint);
    }
}

static void test_socket_mode(void **state)
{
    static const struct {
        const char *row;
        struct input input;
        uint64_t mode;
        bool listen_is_default;
    } modes[] = {
        {"default", {.flags = {NULL}}, 0660, true},
        {"flag", {.flags = {"--socket-mode=600", "--listen=unix:/run/v"}}, 0600, false},
        {"environment",
         {.environment = {"VRAMSCOPE_SOCKET_MODE=0666", "VRAMSCOPE_LISTEN=h:1"}},
         0666,
         false},
        {"file", {.file = "socket_mode: 0777\nlisten: h:1\n"}, 0777, false},
        {"the default, but named",
         {.flags = {"--socket-mode=1", "--listen=127.0.0.1:6767"}},
         1,
         false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct config *config = load_good(modes[i].row, &modes[i].input);

        if (config->socket_mode != modes[i].mode ||
            config->listen_is_default != modes[i].listen_is_default)
            fail_msg("[%s] is 0%llo", modes[i].row,
                     (unsigned long long)config->socket_mode);
        config_free(config);
    }
}

static void test_users(void **state)
{
    struct input input = {.flags = {"--discover-users=root,1234,0"}};
    struct config *config = load_good("users", &input);

    (void)state;
    assert_int_equal(config->discover_users.n, 3);
    assert_int_equal(config->discover_users.uid[0], 0);
    assert_int_equal(config->discover_users.uid[1], 1234);
    config_free(config);
}

static const struct {
    const char *row;
    const char *variable;
    const char *complaint;
} bad_variables[] = {
    {"range", "VRAMSCOPE_INTERVAL=5",
     "VRAMSCOPE_INTERVAL: 5 is out of range (100..60000)"},
    {"switch", "VRAMSCOPE_DEMO=on", "VRAMSCOPE_DEMO: expected true or false, not 'on'"},
    {"empty item", "VRAMSCOPE_LISTEN=a:1,",
     "VRAMSCOPE_LISTEN: '' is neither HOST:PORT nor unix:PATH"},
    {"engine twice", "VRAMSCOPE_ENGINE=http://a,http://a",
     "VRAMSCOPE_ENGINE: engine http://a:80 is given already at VRAMSCOPE_ENGINE"},
    {"second origin", "VRAMSCOPE_ALLOW_ORIGIN=https://a, https://b/",
     "VRAMSCOPE_ALLOW_ORIGIN: 'https://b/' is not SCHEME://HOST[:PORT]"},
    {"level", "VRAMSCOPE_LOG_LEVEL=INFO",
     "VRAMSCOPE_LOG_LEVEL: expected error|warning|info|debug, not 'INFO'"},
};

static void test_bad_variables(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_variables); i++) {
        struct input input = {.environment = {bad_variables[i].variable}};

        expect_complaint(bad_variables[i].row, &input, bad_variables[i].complaint);
    }
}

/* NULL: fine. Otherwise what follows "--listen: ". */
static const struct {
    const char *address;
    const char *complaint;
} addresses[] = {
    {"127.0.0.1:6767", NULL},
    {"0.0.0.0:0", NULL},
    {"localhost:65535", NULL},
    {"my_host.example-1.com:80", NULL},
    {"[::1]:6767", NULL},
    {"[::ffff:127.0.0.1]:1", NULL},
    {"unix:/run/vramscope.sock", NULL},
    {"unix:relative", NULL},
    {"unix", "'unix' is neither HOST:PORT nor unix:PATH"},
    {"unix:", "the path after 'unix:' is missing"},
    {"unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
     "012345678901234567890123456789012345",
     NULL},
    {"unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456",
     "the socket's path is longer than 107 bytes"},
    {"unix:/a\tb", "'/a\xef\xbf\xbd"
                   "b' contains a control character"},
    {"", "'' is neither HOST:PORT nor unix:PATH"},
    {"6767", "'6767' is neither HOST:PORT nor unix:PATH"},
    {":6767", "the host is missing"},
    {"localhost:", "'' is not a port (0..65535)"},
    {"localhost:65536", "'65536' is not a port (0..65535)"},
    {"localhost:http", "'http' is not a port (0..65535)"},
    {"localhost:+1", "'+1' is not a port (0..65535)"},
    {"::1:6767", "'::1:6767': an IPv6 address needs brackets, as in [::1]"},
    {"[::1]", "'[::1]' lacks a port"},
    {"[::1", "'[::1' lacks the closing bracket"},
    {"[::1]6767", "'6767' is not a port (0..65535)"},
    {"[::g]:1", "'::g' is not an IPv6 address"},
    {"[]:1", "'' is not an IPv6 address"},
    {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:1",
     "'0000:0000:0000:0000:0000:0000:0000:0000:0000:0000' is not an IPv6 address"},
    {"1.2.3:80", "'1.2.3' is not an IPv4 address"},
    {"1.2.3.256:80", "'1.2.3.256' is not an IPv4 address"},
    {"*:80", "'*' is not a host name"},
    {"a b:80", "'a b' is not a host name"},
};

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct input input = {.flags = {"--listen", addresses[i].address}};
        char text[COMPLAINT_MAX];

        if (addresses[i].complaint) {
            (void)snprintf(text, sizeof(text), "--listen: %s", addresses[i].complaint);
            expect_complaint(addresses[i].address, &input, text);
        } else {
            config_free(load_good(addresses[i].address, &input));
        }
    }
}

/* The canonical form, or what follows "--engine: ". */
static const struct {
    const char *text;
    const char *url;
    const char *complaint;
} urls[] = {
    {"http://h", "http://h:80", NULL},
    {"https://h", "https://h:443", NULL},
    {"HTTP://Host.Example:08000//", "http://host.example:8000", NULL},
    {"http://10.0.0.1:65535/Path/b/", "http://10.0.0.1:65535/Path/b", NULL},
    {"https://[FE80::1]", "https://[fe80::1]:443", NULL},
    {"unix:/run/vllm.sock", "unix:/run/vllm.sock", NULL},
    {"unix:", NULL, "the path after 'unix:' is missing"},
    {"unix:vllm.sock", NULL, "'vllm.sock' must begin with '/'"},
    {"http://h/metrics/x", "http://h:80/metrics/x", NULL},
    {"", NULL, "'' does not begin with http://, https:// or unix:"},
    {"h:8000", NULL, "'h:8000' does not begin with http://, https:// or unix:"},
    {"ftp://h", NULL, "'ftp://h' does not begin with http://, https:// or unix:"},
    {"http:/h", NULL, "'http:/h' does not begin with http://, https:// or unix:"},
    {"http://", NULL, "the host is missing"},
    {"http:///x", NULL, "the host is missing"},
    {"http://:80", NULL, "the host is missing"},
    {"http://h:0", NULL, "'http://h:0': port 0 cannot be connected to"},
    {"http://h:", NULL, "'' is not a port (0..65535)"},
    {"http://h:x", NULL, "'x' is not a port (0..65535)"},
    {"http://h:99999", NULL, "'99999' is not a port (0..65535)"},
    {"http://::1", NULL, "'::1': an IPv6 address needs brackets, as in [::1]"},
    {"http://[::1", NULL, "'[::1' lacks the closing bracket"},
    {"http://me:pw@h", NULL,
     "'http://me:pw@h' contains '@'; give the key by api_key_file in the file"},
    {"http://h?x", NULL, "'http://h?x' must have neither query nor fragment"},
    {"http://h/#f", NULL, "'http://h/#f' must have neither query nor fragment"},
    {"http://h/a b", NULL,
     "'http://h/a b' contains a blank, a control or a non-ASCII character"},
    {"http://h\r\nX: y", NULL,
     "'http://h\xef\xbf\xbd\xef\xbf\xbdX: y' contains a blank, a control or a non-ASCII "
     "character"},
    {"http://h\xc3\xa9", NULL,
     "'http://h\xc3\xa9' contains a blank, a control or a non-ASCII character"},
    {"http://h:8000/metrics", "http://h:8000/metrics", NULL},
    {"http://h:8000/metrics/", "http://h:8000/metrics", NULL},
    {"http://h/$", "http://h:80/$", NULL},
};

static void test_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct input input = {.flags = {"--engine", urls[i].text}};
        char text[COMPLAINT_MAX];

        if (urls[i].complaint) {
            (void)snprintf(text, sizeof(text), "--engine: %s", urls[i].complaint);
            expect_complaint(urls[i].text, &input, text);
        } else {
            struct config *config = load_good(urls[i].text, &input);

            assert_string_equal(config->engines[0].url, urls[i].url);
            config_free(config);
        }
    }
}

/* Every sentence begins with the file's name and a place in it. */
static const struct {
    const char *row;
    const char *file;
    const char *complaint;
} bad_files[] = {
    {"out of range", "# one\n\ninterval:   50\n",
     "3:13: interval: 50 is out of range (100..60000)"},
    {"out of range on the next line", "interval:\n  50\n",
     "2:3: interval: 50 is out of range (100..60000)"},
    {"unknown key", "zzz: 1\n", "1:1: unknown key 'zzz'"},
    {"near key", "gpu: none\nintervall: 500\n",
     "2:1: unknown key 'intervall'; is 'interval' meant?"},
    {"flag's spelling", "no-discover: true\n",
     "1:1: unknown key 'no-discover'; is 'discover' meant?"},
    {"engine for engines", "engine: []\n",
     "1:1: unknown key 'engine'; is 'engines' meant?"},
    {"a flag only", "config: x\n", "1:1: unknown key 'config'; is 'confine' meant?"},
    {"a flag only, checking", "check_config: true\n", "1:1: unknown key 'check_config'"},
    {"empty key", "'': x\n", "1:1: unknown key ''"},
    {"merge key", "<<: x\n", "1:1: unknown key '<<'"},
    {"hostile key", "\"a\\e[2J\\0b\": 1\n",
     "1:1: unknown key 'a\xef\xbf\xbd[2J\xef\xbf\xbd"
     "b'"},
    {"long key",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaa: 1\n",
     "1:1: unknown key 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"},
    {"duplicate key", "gpu: none\ninterval: 500\ngpu: auto\n",
     "3:1: gpu is given already at vramscope.yaml:1:1"},
    {"not a number", "interval: fast\n", "1:11: interval: 'fast' is not a whole number"},
    {"fraction", "interval: 500.0\n", "1:11: interval: '500.0' is not a whole number"},
    {"list for a number", "interval: [500]\n",
     "1:11: interval: expected a number, found a list"},
    {"mapping for a word", "gpu: {a: b}\n", "1:6: gpu: expected a word, found a mapping"},
    {"nothing for a switch", "demo:\ngpu: none\n",
     "1:6: demo: expected true or false, found nothing"},
    {"null for a text", "proc: ~\n", "1:7: proc: expected a text, found nothing"},
    {"empty text", "proc: ''\n", "1:7: proc: the value is empty"},
    {"NUL in a text", "proc: \"/a\\0b\"\n",
     "1:7: proc: '/a\xef\xbf\xbd"
     "b' contains a control character"},
    {"NUL in a number", "interval: \"500\\0\"\n",
     "1:11: interval: '500\xef\xbf\xbd' is not a whole number"},
    {"NUL in a word", "gpu: \"none\\0\"\n",
     "1:6: gpu: expected auto|nvml|amdgpu|xe|sim|none, not 'none\xef\xbf\xbd'"},
    {"NUL in an address", "listen: \"a\\0b:1\"\n",
     "1:9: listen: 'a\xef\xbf\xbd"
     "b' is not a host name"},
    {"NUL in an IPv6 address", "listen: \"[::1\\0]:1\"\n",
     "1:9: listen: '::1\xef\xbf\xbd' is not an IPv6 address"},
    {"not a switch", "demo: maybe\n", "1:7: demo: expected true or false, not 'maybe'"},
    {"mapping for addresses", "listen: {a: 1}\n",
     "1:9: listen: expected an address or a list of addresses, found a mapping"},
    {"bad address in a list", "listen:\n  - 127.0.0.1:1\n  - nowhere\n",
     "3:5: listen: 'nowhere' is neither HOST:PORT nor unix:PATH"},
    {"list in a list", "listen: [[a:1]]\n",
     "1:10: listen: expected an address or a list of addresses, found a list"},
    {"too many addresses", "listen: [a:1, a:2, a:3, a:4, a:5, a:6, a:7, a:8, a:9]\n",
     "1:50: listen: more than 8 addresses"},
    {"mapping for hosts", "allow_hosts: {a: 1}\n",
     "1:14: allow_hosts: expected a host or a list of hosts, found a mapping"},
    {"bad origin in a list", "allow_origins: ['https://a', 'null']\n",
     "1:30: allow_origins: 'null' would let pages of every site in; name each"},
    {"list for a token", "token_file: [a]\n",
     "1:13: token_file: expected the name of a file, found a list"},
    {"engines not a list", "engines: http://h\n",
     "1:10: engines: expected a list of engines, found a single value"},
    {"one engine, not a list", "engines:\n  url: http://h\n",
     "2:3: engines: expected a list of engines, found a mapping"},
    {"engine not a mapping", "engines:\n  - http://h\n",
     "2:5: an engine is a mapping, as in '- url: http://...'"},
    {"engine without url", "engines:\n  - name: x\n    gpus: 1\n",
     "2:5: this engine has no url"},
    {"engine of nothing", "engines: [{}]\n", "1:11: this engine has no url"},
    {"engine's unknown key", "engines:\n  - url: http://h\n    nmae: x\n",
     "3:5: unknown key 'nmae'"},
    {"engine's near key", "engines:\n  - url: http://h\n    kv_bytes_per_blok: 1\n",
     "3:5: unknown key 'kv_bytes_per_blok'; is 'kv_bytes_per_block' meant?"},
    {"engine's duplicate key", "engines:\n  - url: http://h\n    url: http://i\n",
     "3:5: url is given already at vramscope.yaml:2:5"},
    {"engine's bad url", "engines:\n  - url: h:8000\n",
     "2:10: url: 'h:8000' does not begin with http://, https:// or unix:"},
    {"engine's list", "engines:\n  - url: [http://h]\n",
     "2:10: url: expected a URL, found a list"},
    {"engine twice",
     "engines:\n  - url: http://h:80\n  - url: https://h\n  - url: http://H/\n",
     "4:10: engine http://h:80 is given already at vramscope.yaml:2:10"},
    {"both ways to say the pool",
     "engines:\n  - kv_bytes_per_block: 1\n    url: http://h\n"
     "    kv_pool_bytes_per_gpu: 1\n",
     "4:5: kv_pool_bytes_per_gpu and kv_bytes_per_block say the same of an engine; give "
     "one of them"},
    {"bytes with a decimal unit", "engines: [{kv_bytes_per_block: 1MB}]\n",
     "1:32: kv_bytes_per_block: '1MB' is not a number of bytes (digits, then perhaps "
     "KiB, "
     "MiB or GiB)"},
    {"bytes of a unit only", "engines: [{kv_bytes_per_block: GiB}]\n",
     "1:32: kv_bytes_per_block: 'GiB' is not a number of bytes (digits, then perhaps "
     "KiB, "
     "MiB or GiB)"},
    {"no bytes", "engines: [{kv_bytes_per_block: 0}]\n",
     "1:32: kv_bytes_per_block: 0 is out of range (1..4611686018427387904)"},
    {"too many bytes", "engines: [{kv_bytes_per_block: 4611686018427387905}]\n",
     "1:32: kv_bytes_per_block: 4611686018427387905 is out of range "
     "(1..4611686018427387904)"},
    {"too many GiB", "engines: [{kv_bytes_per_block: 4294967297 GiB}]\n",
     "1:32: kv_bytes_per_block: 4294967297 GiB is out of range (1..4611686018427387904)"},
    {"no GPUs", "engines: [{gpus: 0}]\n", "1:18: gpus: 0 is out of range (1..1024)"},
    {"key file that is not there", "engines: [{api_key_file: nowhere}]\n",
     "1:26: api_key_file: 'nowhere': No such file or directory"},
    {"key file that is a folder", "engines: [{api_key_file: .}]\n",
     "1:26: api_key_file: '.' is not a regular file"},
    {"key file that is empty", "engines: [{api_key_file: empty}]\n",
     "1:26: api_key_file: 'empty' does not hold one key in visible ASCII"},
    {"key file of two lines", "engines: [{api_key_file: two-lines}]\n",
     "1:26: api_key_file: 'two-lines' does not hold one key in visible ASCII"},
    {"key file that is too long", "engines: [{api_key_file: too-long}]\n",
     "1:26: api_key_file: 'too-long' does not hold one key in visible ASCII"},
    {"not a mapping", "- a\n- b\n", "1:1: expected 'key: value' lines"},
    {"a word", "none\n", "1:1: expected 'key: value' lines"},
    {"a list as a key", "[a]: b\n", "1:1: a key must be a plain word"},
    {"several documents", "gpu: none\n---\ngpu: none\n",
     "2:1: a second document; only one is read"},
    {"alias", "proc: &a /p\nsys: *a\n",
     "2:6: aliases are not supported; write the value again"},
    {"alias as a key", "proc: &a gpu\n*a : none\n",
     "2:1: aliases are not supported; write the value again"},
    {"tag", "interval: !!int 500\n",
     "1:11: tags are not supported; write the plain value"},
    {"tagged list", "listen: !x [a:1]\n",
     "1:9: tags are not supported; write the plain value"},
    {"tagged root", "!x {gpu: none}\n",
     "1:1: tags are not supported; write the plain value"},
    {"billion laughs",
     "a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n",
     "1:1: unknown key 'a'"},
    {"billion laughs in a known key", "listen: &a ['a:1', &b [*a, *a, *a]]\n",
     "1:20: listen: expected an address or a list of addresses, found a list"},
    {"nested deeply", "gpu: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
     "1:6: gpu: expected a word, found a list"},
    {"tabs", "gpu: none\n\tdemo: true\n",
     "2:1: invalid YAML: found a tab character that violates indentation while scanning "
     "a "
     "plain scalar"},
    {"value missing", "gpu none\n", "1:1: expected 'key: value' lines"},
    {"colon in a value", "gpu: none: x\n",
     "1:10: invalid YAML: mapping values are not allowed in this context"},
    {"open list", "listen: [a:1\n",
     "2:1: invalid YAML: did not find expected ',' or ']' while parsing a flow sequence"},
    {"open quote", "gpu: \"none\n",
     "2:1: invalid YAML: found unexpected end of stream while scanning a quoted scalar"},
    {"not UTF-8", "gpu: none\n# caf\xe9\n",
     "2:6: not a character of a UTF-8 text (incomplete UTF-8 octet sequence)"},
    {"not UTF-8 after UTF-8", "gpu: none\n# \xc3\xa9\xc3\xa9 \xff\n",
     "2:6: not a character of a UTF-8 text (invalid leading UTF-8 octet)"},
    {"UTF-16", "\xff\xfeg",
     "1:1: not a character of a UTF-8 text (invalid leading UTF-8 octet)"},
    {"control character", "gpu: none\001\n",
     "1:10: not a character of a UTF-8 text (control characters are not allowed)"},
};

static void test_bad_files(void **state)
{
    char too_long[4098];

    (void)state;
    memset(too_long, 'k', sizeof(too_long));
    write_file("empty", "\n", 1);
    write_file("two-lines", "a\nb\n", 4);
    write_file("too-long", too_long, 4097);
    for (size_t i = 0; i < ARRAY_LEN(bad_files); i++) {
        struct input input = {.file = bad_files[i].file};
        char text[COMPLAINT_MAX];

        (void)snprintf(text, sizeof(text), "%s:%s", FILE_NAME, bad_files[i].complaint);
        expect_complaint(bad_files[i].row, &input, text);
    }
}

static const struct {
    const char *row;
    const char *file;
} good_files[] = {
    {"empty", ""},
    {"comments", "# nothing\n\n# more\n"},
    {"empty document", "---\n"},
    {"document marks", "---\ngpu: none\n...\n"},
    {"braces", "{gpu: none, interval: 500}"},
    {"byte order mark", "\xef\xbb\xbfgpu: none\n"},
    {"line ends of other systems", "gpu: none\r\ninterval: 500\r\n"},
    {"no line end", "gpu: none"},
    {"quotes", "\"gpu\": 'none'\n\"interval\": \"500\"\n"},
    {"anchor that nobody uses", "proc: &a /p\n"},
    {"no engines", "engines: []\n"},
    {"key with CRLF", "engines: [{url: 'http://h', api_key_file: crlf}]\n"},
    {"longest key", "engines: [{url: 'http://h', api_key_file: longest}]\n"},
    {"most bytes", "engines: [{url: 'http://h', kv_bytes_per_block: 4294967296GiB}]\n"},
};

static void test_good_files(void **state)
{
    char longest[4098];

    (void)state;
    memset(longest, 'k', sizeof(longest));
    memcpy(longest + 4096, "\r\n", 2);
    write_file("crlf", "key\r\n", 5);
    write_file("longest", longest, sizeof(longest));
    for (size_t i = 0; i < ARRAY_LEN(good_files); i++) {
        struct input input = {.file = good_files[i].file};

        config_free(load_good(good_files[i].row, &input));
    }
}

static void test_byte_order_mark_has_no_column(void **state)
{
    static const struct input input = {.file = "\xef\xbb\xbfzzz: 1\n"};

    (void)state;
    expect_complaint("byte order mark", &input, "vramscope.yaml:1:1: unknown key 'zzz'");
}

static void test_same_engine_in_flag_and_file(void **state)
{
    static const struct input input = {
        {"--engine=http://h:8000/"}, {0}, "engines:\n  - url: http://h:8000\n"};
    static const struct input from_both = {
        {"--engine=http://h:8000/"}, {"VRAMSCOPE_ENGINE=http://h:8000"}, NULL};

    (void)state;
    expect_complaint("flag and file", &input,
                     "--engine: engine http://h:8000 is given already at "
                     "vramscope.yaml:2:10");
    expect_complaint("flag and environment", &from_both,
                     "--engine: engine http://h:8000 is given already at "
                     "VRAMSCOPE_ENGINE");
}

static void test_too_many_engines(void **state)
{
    char text[4096] = "engines:\n";
    struct input input = {.file = text};

    (void)state;
    for (int i = 0; i <= CONFIG_ENGINES_MAX; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                       "  - url: http://h:%d\n", i + 1);
    expect_complaint("too many", &input, "vramscope.yaml:66:10: more than 64 engines");
    text[strlen(text) - strlen("  - url: http://h:65\n")] = '\0';
    config_free(load_good("just enough", &input));
}

static void test_files_that_cannot_be_read(void **state)
{
    static const struct input missing = {.flags = {"--config", "missing.yaml"}};
    static const struct input folder = {.flags = {"--config", "."}};
    static const struct input pipe = {.flags = {"--config", "pipe"}};
    static const struct input big = {.flags = {"--config", "big.yaml"}};
    static const struct input open = {.flags = {"--config", "open.yaml"}};
    static const struct input empty = {.flags = {"--config="}};
    char *text = malloc(CONFIG_FILE_MAX + 1);

    (void)state;
    expect_complaint("missing", &missing, "missing.yaml: No such file or directory");
    expect_complaint("folder", &folder, ".: Is a directory");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    expect_complaint("pipe", &pipe, "pipe: not a regular file");
    expect_complaint("empty", &empty, "--config: the value is empty");

    assert_non_null(text);
    memset(text, '#', CONFIG_FILE_MAX + 1);
    write_file("big.yaml", text, CONFIG_FILE_MAX);
    config_free(load_good("largest", &big));
    write_file("big.yaml", text, CONFIG_FILE_MAX + 1);
    expect_complaint("too large", &big, "big.yaml: larger than 1 MiB");
    free(text);

    write_file("open.yaml", "gpu: none\n", 10);
    assert_int_equal(chmod("open.yaml", 0666), 0);
    expect_complaint("writable by all", &open,
                     "open.yaml: everyone may write to it; take that right away "
                     "(chmod o-w)");
    assert_int_equal(chmod("open.yaml", 0664), 0);
    config_free(load_good("writable by the group", &open));
}

static void test_last_config_counts(void **state)
{
    static const struct input input = {
        .flags = {"--config=missing.yaml", "--config", "last.yaml"}};
    struct config *config;

    (void)state;
    write_file("last.yaml", "interval: 900\n", 14);
    config = load_good("two files", &input);
    assert_int_equal(config->interval_ms, 900);
    assert_string_equal(config->file, "last.yaml");
    config_free(config);
}

/* Run config_print_help() with stdout in a file, and give what it wrote. */
static size_t capture_help(char *text, size_t room)
{
    int saved = dup(STDOUT_FILENO);
    int fd = open("help", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ssize_t n;

    assert_true(saved >= 0 && fd >= 0);
    (void)fflush(stdout);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    config_print_help();
    (void)fflush(stdout);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    n = pread(fd, text, room - 1, 0);
    (void)close(fd);
    (void)close(saved);
    assert_true(n > 0);
    text[n] = '\0';
    return (size_t)n;
}

static void test_help(void **state)
{
    static const char *const wanted[] = {
        "  -h, --help", "  -V, --version",    "      --listen HOST:PORT|unix:PATH",
        "default 500",  "VRAMSCOPE_DISCOVER", "--gpu auto|nvml|amdgpu|xe|sim|none",
    };
    char text[8192];
    size_t n = capture_help(text, sizeof(text));

    (void)state;
    assert_true(n < sizeof(text) - 1 && text[n - 1] == '\n');
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!strstr(text, wanted[i]))
            fail_msg("--help lacks '%s'", wanted[i]);
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n');

        if (end - line > 90 || (end > line && end[-1] == ' '))
            fail_msg("too long, or with blanks at its end: %.*s", (int)(end - line),
                     line);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_switches),
        cmocka_unit_test(test_every_key_of_the_file),
        cmocka_unit_test(test_engines_of_all_sources),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_bad_flags),
        cmocka_unit_test(test_socket_mode),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_bad_variables),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_good_files),
        cmocka_unit_test(test_byte_order_mark_has_no_column),
        cmocka_unit_test(test_same_engine_in_flag_and_file),
        cmocka_unit_test(test_too_many_engines),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_last_config_counts),
        cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}

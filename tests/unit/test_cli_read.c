// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli_option.h"

#include <locale.h>
#include <stdio.h>

/* The commands are named in the table and not called here. */
#define COMMAND(id, word, function, arguments, help) \
    int function(const struct cli *cli)              \
    {                                                \
        (void)cli;                                   \
        return -1;                                   \
    }
#define OPTION(member, kind, letter, flag, environment, argument, min, max, fallback, \
               commands, help)
#include "cli/options.def"
#undef COMMAND
#undef OPTION

enum { WORDS_MAX = 16 };

/* The words of a line, with blanks between them. */
static int read_line(const char *line, struct cli **ret, struct complaint *why)
{
    char copy[512], *words[WORDS_MAX + 1] = {NULL}, *rest = copy;
    int n = 0;

    (void)snprintf(copy, sizeof(copy), "%s", line);
    for (char *word; n < WORDS_MAX && (word = strsep(&rest, " "));)
        words[n++] = word;
    *ret = NULL;
    return cli_read(n, words, ret, why);
}

static void free_cli(struct cli **cli)
{
    cli_free(*cli);
}

/* What is refused, and two things that the sentence names. */
static void test_refused(void **state)
{
    static const struct {
        const char *line, *names, *also;
        enum cli_command command;
    } rows[] = {
        {"v --intervall 5", "--intervall", "is --interval meant?", CLI_TUI},
        {"v --zzzzz", "--zzzzz", "--help", CLI_TUI},
        {"v -x", "-x", "--help", CLI_TUI},
        {"v -1V", "-1V", "--help", CLI_TUI},
        {"v steam", "steam", "is stream meant?", CLI_TUI},
        {"v zzzzz", "zzzzz", "--help", CLI_TUI},
        {"v stream more", "stray", "more", CLI_STREAM},
        {"v record a b", "stray", "b", CLI_RECORD},
        {"v record", "FILE", "record", CLI_RECORD},
        {"v replay", "FILE", "replay", CLI_REPLAY},
        {"v --interval", "--interval", "--interval TIME", CLI_TUI},
        {"v --interval --once", "--interval", "value", CLI_TUI},
        {"v --interval 99ms", "99ms", "0.1", CLI_TUI},
        {"v --interval 3601", "3601", "3600", CLI_TUI},
        {"v --interval 5m", "5m", "seconds", CLI_TUI},
        {"v --interval nan", "nan", "seconds", CLI_TUI},
        {"v --interval=", "--interval", "seconds", CLI_TUI},
        {"v --once=yes", "--once", "no value", CLI_TUI},
        {"v --json", "--json", "--once", CLI_TUI},
        {"v --csv", "--csv", "command", CLI_TUI},
        {"v doctor --csv", "--csv", "doctor", CLI_DOCTOR},
        {"v --csv doctor", "--csv", "doctor", CLI_DOCTOR},
        {"v stream --json --csv", "--json", "--csv", CLI_STREAM},
        {"v stream --seed --csv", "--seed", "--csv", CLI_STREAM},
        {"v stream --count 0", "--count", "0", CLI_STREAM},
        {"v stream --count -1", "--count", "-1", CLI_STREAM},
        {"v check --kv-warn 91", "--kv-warn 91", "--kv-crit 90", CLI_CHECK},
        {"v check --kv-warn 101", "--kv-warn", "100", CLI_CHECK},
        {"v --bad check", "--bad", "--help", CLI_CHECK},
        {"v replay f --url h:1", "--url", "replay", CLI_REPLAY},
        {"v replay f --speed 0", "--speed", "0.01", CLI_REPLAY},
        {"v --theme purple", "purple", "dark|light|colour-blind|mono", CLI_TUI},
        {"v --url ftp://h", "ftp://h", "http://", CLI_TUI},
        {"v --url=", "--url", "http://", CLI_TUI},
        {"v --url h:0", "h:0", "65535", CLI_TUI},
        {"v --url http://h:99999/", "h:99999", "65535", CLI_TUI},
        {"v --url https://[::1]:x", "[::1]:x", "65535", CLI_TUI},
        {"v --url h:", "h:", "65535", CLI_TUI},
        {"v --url h:1\33[2J", "--url", "http://", CLI_TUI},
        {"v --token-file=", "--token-file", "empty", CLI_TUI},
        {"v --node=", "--node", "empty", CLI_TUI},
        {"v advise --node gpu1", "--node", "advise", CLI_ADVISE},
        {"v replay f --node gpu1", "--node", "replay", CLI_REPLAY},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        OWNED(free_cli) struct cli *cli = NULL;
        struct complaint why = {""};

        print_message("%s\n", rows[i].line);
        assert_int_equal(read_line(rows[i].line, &cli, &why), -EINVAL);
        assert_non_null(strstr(why.text, rows[i].names));
        assert_non_null(strstr(why.text, rows[i].also));
        assert_int_equal(cli->command, rows[i].command);
    }
}

static void test_defaults(void **state)
{
    OWNED(free_cli) struct cli *cli = NULL;
    struct complaint why = {""};

    (void)state;
    assert_int_equal(read_line("v", &cli, &why), 0);
    assert_int_equal(cli->command, CLI_TUI);
    assert_int_equal(cli->n_urls, 1);
    assert_string_equal(cli->urls[0], "http://127.0.0.1:6767");
    assert_true(cli->kv_warn == 80 && cli->kv_crit == 90 && cli->speed == 1);
    assert_int_equal(cli->interval_ms, 0);
    assert_int_equal(cli->count, 0);
    assert_string_equal(cli->theme, "dark");
    assert_null(cli->token_file);
    assert_null(cli->operand);
    assert_false(cli->once || cli->json || cli->help || cli->no_color || cli->colours);
}

static void test_values(void **state)
{
    OWNED(free_cli) struct cli *a = NULL, *b = NULL, *c = NULL;
    struct complaint why = {""};

    (void)state;
    assert_int_equal(read_line("v --url=h:1 check --kv-warn 5% --kv-crit 7.5 --model m "
                               "--max-age 1500ms --token-file t --url https://i",
                               &a, &why),
                     0);
    assert_int_equal(a->command, CLI_CHECK);
    assert_true(a->kv_warn == 5 && a->kv_crit == 7.5);
    assert_string_equal(a->model, "m");
    assert_string_equal(a->token_file, "t");
    assert_int_equal(a->max_age_ms, 1500);
    assert_int_equal(a->n_urls, 2);
    assert_string_equal(a->urls[0], "http://h:1");
    assert_string_equal(a->urls[1], "https://i");

    assert_null(a->node);

    assert_int_equal(
        read_line("v record --count 7 --duration 0.5s --node gpu17@1a -- --odd", &b,
                  &why),
        0);
    assert_string_equal(b->node, "gpu17@1a");
    assert_string_equal(cli_stream_options(b).node, "gpu17@1a");
    assert_null(cli_connection(b).node); // what is not of a node
    assert_int_equal(b->count, 7);
    assert_int_equal(b->duration_ms, 500);
    assert_string_equal(b->operand, "--odd");

    assert_int_equal(
        read_line("v replay - --speed 2.5 --loop --theme light --glyphs block", &c, &why),
        0);
    assert_string_equal(c->operand, "-");
    assert_true(c->speed == 2.5 && c->loop);
    assert_string_equal(c->theme, "light");
}

static void test_urls(void **state)
{
    static const struct {
        const char *given, *url, *name;
    } rows[] = {
        {"h", "http://h:6767", "h:6767"},
        {"h:1", "http://h:1", "h:1"},
        {"[::1]", "http://[::1]:6767", "[::1]:6767"},
        {"[::1]:80", "http://[::1]:80", "[::1]:80"},
        {"http://h:1/", "http://h:1/", "h:1"},
        {"https://h:1", "https://h:1", "h:1"},
        {"unix:/run/v", "unix:/run/v", "unix:/run/v"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        OWNED(free_cli) struct cli *cli = NULL;
        struct complaint why = {""};
        struct span name;
        char line[64];

        print_message("%s\n", rows[i].given);
        (void)snprintf(line, sizeof(line), "v --url %s", rows[i].given);
        assert_int_equal(read_line(line, &cli, &why), 0);
        assert_string_equal(cli->urls[0], rows[i].url);
        name = cli_host_name(cli->urls[0]);
        assert_true(span_is(name, rows[i].name));
    }
}

static void test_environment(void **state)
{
    OWNED(free_cli) struct cli *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    struct complaint why = {""};

    (void)state;
    (void)setenv("VRAMSCOPE_URL", " h:1  https://i:2", 1);
    (void)setenv("VRAMSCOPE_TOKEN_FILE", "t", 1);
    assert_int_equal(read_line("v", &a, &why), 0);
    assert_int_equal(a->n_urls, 2);
    assert_string_equal(a->urls[1], "https://i:2");
    assert_string_equal(a->token_file, "t");

    assert_int_equal(read_line("v --url j:3 --token-file u", &b, &why), 0);
    assert_int_equal(b->n_urls, 1);
    assert_string_equal(b->urls[0], "http://j:3");
    assert_string_equal(b->token_file, "u");

    (void)setenv("VRAMSCOPE_URL", "", 1); // as good as none
    assert_int_equal(read_line("v", &c, &why), 0);
    assert_string_equal(c->urls[0], "http://127.0.0.1:6767");

    (void)setenv("VRAMSCOPE_URL", "ftp://h", 1);
    assert_int_equal(read_line("v", &d, &why), -EINVAL);
    assert_non_null(strstr(why.text, "VRAMSCOPE_URL"));
    (void)unsetenv("VRAMSCOPE_URL");
    (void)unsetenv("VRAMSCOPE_TOKEN_FILE");
}

static void test_help_goes_before_what_is_wrong(void **state)
{
    OWNED(free_cli) struct cli *a = NULL, *b = NULL, *c = NULL;
    struct complaint why = {""};

    (void)state;
    assert_int_equal(read_line("v record --help", &a, &why), 0);
    assert_true(a->help && a->command == CLI_RECORD);
    assert_int_equal(read_line("v --help --bad stream", &b, &why), 0);
    assert_true(b->help && b->command == CLI_STREAM);
    assert_int_equal(read_line("v -V", &c, &why), 0);
    assert_true(c->version);
}

static void test_terminal(void **state)
{
    OWNED(free_cli) struct cli *a = NULL, *b = NULL, *c = NULL;
    struct complaint why = {""};

    (void)state;
    (void)unsetenv("NO_COLOR");
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    assert_int_equal(read_line("v", &a, &why), 0);
    assert_false(a->ascii || a->no_color);
    (void)setenv("NO_COLOR", "0", 1); // any value but an empty one
    (void)setlocale(LC_CTYPE, "C");
    assert_int_equal(read_line("v", &b, &why), 0);
    assert_true(b->ascii && b->no_color && b->glyphs == GLYPHS_ASCII);
    (void)setenv("NO_COLOR", "", 1);
    assert_int_equal(read_line("v", &c, &why), 0);
    assert_false(c->no_color);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_help_goes_before_what_is_wrong),
        cmocka_unit_test(test_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

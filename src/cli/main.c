// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_help.h"
#include "cli/cli_option.h"
#include "cli/cli_output.h"
#include "version.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>

static void free_cli(struct cli **cli)
{
    cli_free(*cli);
}

/* Or a socket of ours would become the output. */
static void open_standard_files(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

/* Whose statuses say what was found: cli_check.c, cli_doctor.c. */
static bool has_verdict(const struct cli *cli)
{
    return cli && (cli->command == CLI_CHECK || cli->command == CLI_DOCTOR);
}

/*
 * The status of a command, once all it has printed is written. A reader of a pipe who has
 * left, as head does, has seen enough.
 */
static int finish(const struct cli *cli, int status)
{
    int r = cli_output_done();

    if (r == 0)
        return status;
    if (r == -EPIPE)
        return has_verdict(cli) ? status : CLI_OK;
    cli_message("cannot write the output: %s", strerror(-r));
    return cli && cli->command == CLI_CHECK ? CLI_UNKNOWN : CLI_FAILED;
}

/* A monitor reads what a plugin prints on stdout, and takes status 2 for critical. */
static int refuse(const struct cli *cli, const struct complaint *why)
{
    if (!cli || cli->command != CLI_CHECK) {
        cli_message("%s", why->text);
        return CLI_USAGE;
    }
    cli_print("UNKNOWN - %s", why->text);
    return finish(cli, CLI_UNKNOWN);
}

int main(int argc, char **argv)
{
    OWNED(free_cli) struct cli *cli = NULL;
    struct complaint why = {""};
    int r;

    open_standard_files();
    (void)signal(SIGPIPE, SIG_IGN); // writing says EPIPE
    (void)setlocale(LC_CTYPE, "");  // numbers keep their decimal point
    cli_output_init(true, false);   // until it is known
    r = cli_read(argc, argv, &cli, &why);
    if (cli)
        cli_output_init(cli->ascii, cli->colours);
    if (r < 0)
        return refuse(cli, &why);

    if (cli->version)
        cli_print("vramscope " VRAMSCOPE_VERSION);
    else if (cli->help)
        cli_print_help(cli->command);
    else
        return finish(cli, cli_words[cli->command].run(cli));
    return finish(NULL, CLI_OK);
}

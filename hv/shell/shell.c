/* SPDX-License-Identifier: BSD-2-Clause */
/* Words, lookup and the checks that all commands share; `help` itself. */
#include "hv/shell/shell.h"

#include "drivers/console.h"
#include "lib/string.h"

static void cmd_help(const struct shell_args *args);

static const struct shell_command help_commands[] = {
	{ "help", "[COMMAND]", "this list, or one command's line", 0, 1, false, cmd_help },
};

static const struct shell_family shell_help = { "Help", help_commands, ARRAY_COUNT(help_commands) };

static const struct shell_family *const families[] = {
	&shell_partitions, &shell_inspect, &shell_mmu,	&shell_slots,
	&shell_memory,	   &shell_machine, &shell_help,
};

void shell_print(const char *format, ...)
{
	char text[512];
	va_list args;
	int length;

	va_start(args, format);
	length = string_vformat(text, sizeof(text), format, args);
	va_end(args);
	console_write(text, MIN((size_t)length, sizeof(text) - 1));
}

void shell_error(const struct shell_args *args, const char *format, ...)
{
	char text[400];
	va_list list;

	va_start(list, format);
	string_vformat(text, sizeof(text), format, list);
	va_end(list);
	if (args && args->json) {
		json_open(NULL, '{');
		json_string("error", text);
		json_close('}');
		json_end();
	} else {
		shell_print("error: %s\n", text);
	}
}

static const struct shell_command *find(const char *name)
{
	for (unsigned int f = 0; f < ARRAY_COUNT(families); f++) {
		for (unsigned int i = 0; i < families[f]->count; i++) {
			if (strcmp(families[f]->commands[i].name, name) == 0) {
				return &families[f]->commands[i];
			}
		}
	}
	return NULL;
}

static void print_usage(const struct shell_command *command)
{
	shell_print("  %-9s %-26s %s\n", command->name, command->usage, command->help);
}

static void cmd_help(const struct shell_args *args)
{
	const struct shell_command *command;

	if (args->count == 1) {
		command = find(args->word[0]);
		if (!command) {
			shell_error(args, "unknown command \"%s\"; help lists them all",
				    args->word[0]);
			return;
		}
		print_usage(command);
		return;
	}
	for (unsigned int f = 0; f < ARRAY_COUNT(families); f++) {
		shell_print("%s\n", families[f]->title);
		for (unsigned int i = 0; i < families[f]->count; i++) {
			print_usage(&families[f]->commands[i]);
		}
	}
	shell_print("Commands that show state take -j and then answer one line of JSON.\n"
		    "Ctrl-] leaves an attached console.\n");
}

struct partition_entry *shell_partition(const struct shell_args *args, unsigned int index)
{
	struct partition_entry *entry = partition_find(args->word[index]);
	char names[160] = "";
	size_t length = 0;

	if (entry) {
		return entry;
	}
	for (unsigned int i = 0; i < partitions_count() && length < sizeof(names) - 1; i++) {
		length += (size_t)string_format(names + length, sizeof(names) - length, "%s%s",
						i ? ", " : "", partition_at(i)->config->name);
	}
	shell_error(args, "no partition \"%s\"; there %s: %s", args->word[index],
		    partitions_count() == 1 ? "is" : "are", names[0] ? names : "none");
	return NULL;
}

struct partition_entry *shell_built(const struct shell_args *args, unsigned int index)
{
	struct partition_entry *entry = shell_partition(args, index);

	if (entry && !entry->partition) {
		shell_error(args, "%s is %s and has no memory or vCPU to look at; start it first",
			    entry->config->name, partition_state_name(entry->state));
		return NULL;
	}
	return entry;
}

bool shell_number(const struct shell_args *args, unsigned int index, const char *what,
		  uint64_t *value)
{
	if (!string_to_u64(args->word[index], value)) {
		shell_error(args, "\"%s\" is no %s: expected a number, decimal or 0x...",
			    args->word[index], what);
		return false;
	}
	return true;
}

/* Splits at blanks; -j anywhere is the flag. False when there are too many words. */
static bool split(char *line, const char **name, struct shell_args *args)
{
	*args = (struct shell_args){ 0 };
	*name = NULL;
	for (;;) {
		const char *word;

		while (*line == ' ' || *line == '\t') {
			line++;
		}
		if (!*line) {
			return true;
		}
		word = line;
		while (*line && *line != ' ' && *line != '\t') {
			line++;
		}
		if (*line) {
			*line++ = '\0';
		}
		if (!*name) {
			*name = word;
		} else if (strcmp(word, "-j") == 0) {
			args->json = true;
		} else if (args->count == SHELL_WORDS_MAX) {
			return false;
		} else {
			args->word[args->count++] = word;
		}
	}
}

void shell_run(char *line)
{
	const struct shell_command *command;
	struct shell_args args;
	const char *name;

	if (!split(line, &name, &args)) {
		shell_error(NULL, "more than %u words", SHELL_WORDS_MAX);
		return;
	}
	if (!name) {
		return;
	}
	command = find(name);
	if (!command) {
		shell_error(&args, "unknown command \"%s\"; help lists them all", name);
		return;
	}
	if (args.json && !command->json) {
		shell_error(&args, "%s does not take -j", name);
		return;
	}
	if (args.count < command->least || args.count > command->most) {
		shell_error(&args, "expected: %s %s", name, command->usage);
		return;
	}
	command->run(&args);
}

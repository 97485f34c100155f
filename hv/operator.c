/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One serial line, several users: the prompt with its line editor, the attached partition,
 * and log lines that come at any time. Log lines go above the prompt, which is drawn again.
 *
 *     typed byte -> attached? -> yes: partition's UART (Ctrl-]: detach)
 *                             -> no:  line editor -> shell_run()
 */
#include "hv/operator.h"

#include "arch/x86/tsc.h"
#include "drivers/console.h"
#include "hv/shell/shell.h"
#include "lib/string.h"

#define CTRL(c) ((c)&0x1f)
#define DETACH 0x1d /* Ctrl-] */
#define HISTORY 8
#define TYPE_AHEAD 512u /* a power of two */
#define POLL_US 5000	/* attached, or a console without an interrupt */
#define OUTPUT_CHUNK 512
#define OUTPUT_RESERVE 4096 /* room that guest output leaves in the console's ring */

enum escape_state { ESCAPE_NONE, ESCAPE_STARTED, ESCAPE_BRACKET };

static struct {
	bool started; /* a prompt may be shown */
	bool prompt_shown;
	char line[SHELL_LINE_MAX];
	size_t length;
	char history[HISTORY][SHELL_LINE_MAX];
	unsigned int history_count; /* lines ever kept */
	unsigned int history_back;  /* how far up the operator went */
	enum escape_state escape;
	struct partition_entry *attached;
	struct partition_entry *ahead_for; /* the partition that was attached last */
	uint8_t ahead[TYPE_AHEAD];	   /* typed for it, not yet delivered */
	uint32_t ahead_typed;		   /* bytes ever put there */
	uint32_t ahead_sent;		   /* bytes ever delivered */
	bool skip_newline; /* the last byte was \r: a \n right after it is the same key */
} state;

static void show_prompt(void)
{
	shell_print("%s", SHELL_PROMPT);
	console_write(state.line, state.length);
	state.prompt_shown = true;
}

void operator_log_sink(const char *text, size_t length)
{
	bool redraw = state.prompt_shown;

	if (redraw) {
		console_write("\r\x1b[K", 4);
		state.prompt_shown = false;
	}
	console_write(text, length);
	if (redraw) {
		show_prompt();
	}
}

void operator_init(void)
{
	state.started = true;
	shell_print("\nBulkhead is up. First things to type: ps, console NAME (Ctrl-] comes back), "
		    "show NAME, help.\n");
	show_prompt();
}

void operator_attach(struct partition_entry *entry)
{
	state.attached = entry;
	if (state.ahead_for != entry) {
		state.ahead_for = entry;
		state.ahead_sent = state.ahead_typed;
	}
	entry->partition->serial_watched = true;
	shell_print("[attached to %s, Ctrl-] detaches]\n", entry->config->name);
}

static void detach(void)
{
	struct partition_entry *entry = state.attached;

	state.attached = NULL;
	if (entry->partition) {
		entry->partition->serial_watched = false;
		entry->partition->console_wakeup = false;
	}
	shell_print("\n[detached from %s]\n", entry->config->name);
	show_prompt();
}

/* Draws `text` in place of the line that is being typed. */
static void replace_line(const char *text)
{
	string_copy(state.line, sizeof(state.line), text);
	state.length = strlen(state.line);
	shell_print("\r\x1b[K");
	show_prompt();
}

static void recall(bool up)
{
	unsigned int kept = MIN(state.history_count, (unsigned int)HISTORY);

	if (up && state.history_back < kept) {
		state.history_back++;
	} else if (!up && state.history_back > 0) {
		state.history_back--;
	} else {
		return;
	}
	if (state.history_back == 0) {
		replace_line("");
		return;
	}
	replace_line(state.history[(state.history_count - state.history_back) % HISTORY]);
}

static void enter_line(void)
{
	shell_print("\n");
	state.prompt_shown = false;
	state.line[state.length] = '\0';
	if (state.length > 0) {
		string_copy(state.history[state.history_count++ % HISTORY], SHELL_LINE_MAX,
			    state.line);
	}
	state.history_back = 0;
	state.length = 0;
	shell_run(state.line);
	if (!state.attached) {
		show_prompt();
	}
}

static bool take_escape(uint8_t byte)
{
	if (state.escape == ESCAPE_NONE) {
		if (byte != 0x1b) {
			return false;
		}
		state.escape = ESCAPE_STARTED;
		return true;
	}
	if (state.escape == ESCAPE_STARTED && byte == '[') {
		state.escape = ESCAPE_BRACKET;
		return true;
	}
	if (state.escape == ESCAPE_BRACKET && (byte == 'A' || byte == 'B')) {
		recall(byte == 'A');
	}
	state.escape = ESCAPE_NONE;
	return true;
}

static void type_byte(uint8_t byte)
{
	if (take_escape(byte)) {
		return;
	}
	if (byte == '\r' || byte == '\n') {
		enter_line();
	} else if (byte == 0x7f || byte == '\b') {
		if (state.length > 0) {
			state.length--;
			shell_print("\b \b");
		}
	} else if (byte == CTRL('U')) {
		replace_line("");
	} else if (byte == CTRL('C')) {
		shell_print("^C\n");
		state.length = 0;
		show_prompt();
	} else if (byte >= 0x20 && byte < 0x7f) {
		if (state.length == SHELL_LINE_MAX - 1) {
			shell_print("\a");
			return;
		}
		state.line[state.length++] = (char)byte;
		console_write((const char *)&byte, 1);
	}
}

/* What was typed for a guest and is not delivered: also after Ctrl-]. */
static bool typed_ahead(void)
{
	return state.ahead_sent != state.ahead_typed;
}

/* Gives it to the guest as far as its UART has room. */
static void deliver_typed(void)
{
	while (typed_ahead()) {
		if (!partition_serial_input(state.ahead_for,
					    state.ahead[state.ahead_sent % TYPE_AHEAD])) {
			return;
		}
		state.ahead_sent++;
	}
}

/*
 * A byte for the attached guest, or Ctrl-]. Typed bytes wait here for a guest that is slow to
 * read; past TYPE_AHEAD they are lost, as on a line without flow control. Ctrl-] never is: a
 * guest that does not read must not keep the operator.
 */
static void forward_byte(uint8_t byte)
{
	if (byte == DETACH) {
		detach();
	} else if (state.ahead_typed - state.ahead_sent < TYPE_AHEAD) {
		state.ahead[state.ahead_typed++ % TYPE_AHEAD] = byte;
	}
}

static void take_input(void)
{
	int byte;

	for (byte = console_getc(); byte >= 0; byte = console_getc()) {
		if (byte == '\n' && state.skip_newline && !state.attached) {
			state.skip_newline = false;
			continue;
		}
		state.skip_newline = byte == '\r';
		if (state.attached) {
			forward_byte((uint8_t)byte);
		} else {
			type_byte((uint8_t)byte);
		}
	}
	deliver_typed();
}

/* Moves guest output to the line while the line has room. */
static void show_output(void)
{
	struct partition_entry *entry = state.attached;
	char chunk[OUTPUT_CHUNK];
	size_t length = 0;
	uint64_t lost = 0;
	uint8_t byte;

	if (!entry->partition) {
		return;
	}
	entry->partition->serial_watched = true;
	entry->partition->console_wakeup = false;
	while (console_space() > OUTPUT_RESERVE + length &&
	       ring_get(&entry->partition->serial, &entry->serial_seen, &byte, &lost)) {
		if (byte != '\r') { /* console_write() adds its own */
			chunk[length++] = (char)byte;
		}
		if (length == sizeof(chunk)) {
			console_write(chunk, length);
			length = 0;
		}
	}
	console_write(chunk, length);
	if (lost) {
		shell_print("\n[%llu bytes of output were lost]\n", (unsigned long long)lost);
	}
}

void operator_work(uint64_t now)
{
	(void)now;
	if (!state.started) {
		return;
	}
	take_input();
	if (state.attached) {
		show_output();
	}
}

uint64_t operator_next_work(void)
{
	if (!state.attached && !typed_ahead() && console_has_interrupt()) {
		return UINT64_MAX;
	}
	return rdtsc() + tsc_from_us(POLL_US);
}

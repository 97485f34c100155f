/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON on one line, written as it goes. Addresses are strings: JSON numbers lose bits past 2^53. */
#include "hv/shell/shell.h"

static bool need_comma; /* the shell is the core's: one line at a time */

static void print_escaped(const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\') {
			shell_print("\\%c", *s);
		} else if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e) {
			shell_print("\\u%04x", (unsigned char)*s);
		} else {
			shell_print("%c", *s);
		}
	}
}

static void begin(const char *key)
{
	if (need_comma) {
		shell_print(",");
	}
	need_comma = true;
	if (key) {
		shell_print("\"%s\":", key);
	}
}

void json_open(const char *key, char bracket)
{
	begin(key);
	shell_print("%c", bracket);
	need_comma = false;
}

void json_close(char bracket)
{
	shell_print("%c", bracket);
	need_comma = true;
}

void json_string(const char *key, const char *value)
{
	begin(key);
	shell_print("\"");
	print_escaped(value);
	shell_print("\"");
}

void json_number(const char *key, uint64_t value)
{
	begin(key);
	shell_print("%llu", (unsigned long long)value);
}

void json_hex(const char *key, uint64_t value)
{
	begin(key);
	shell_print("\"0x%llx\"", (unsigned long long)value);
}

void json_bool(const char *key, bool value)
{
	begin(key);
	shell_print("%s", value ? "true" : "false");
}

void json_end(void)
{
	need_comma = false;
	shell_print("\n");
}
